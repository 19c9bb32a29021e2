//! Writes the answer to a query, batch by batch, in the format that was asked for.

mod forms;
mod plain;

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt;

use crate::Failure;
use crate::args::Format;
use crate::output::{counted, grouped};
use crate::output_file::OutputFile;
use forms::{Arrow, Csv, Form, Json, Lines, Parquet, arrow_failed};
use plain::Plain;

/// Runs the query and writes its answer to `out`. A table shows `max_rows` at most.
pub(crate) async fn write(
    answer: datafusion::prelude::DataFrame,
    mut out: OutputFile,
    format: Format,
    max_rows: usize,
) -> Result<(), Failure> {
    let schema = SchemaRef::clone(answer.schema().inner());
    let stream = answer.execute_stream().await?;
    let out = match format {
        Format::Table => {
            table(stream, &mut out, &schema, max_rows).await?;
            out
        }
        Format::Csv => {
            check_flat(&schema)?;
            rows(stream, Csv::new(out, schema)).await?
        }
        Format::Json => rows(stream, Json::new(out)).await?,
        Format::Jsonl => rows(stream, Lines::new(out)).await?,
        Format::Parquet => {
            let plain = Plain::new(&schema);
            rows(stream, Parquet::new(out, plain)?).await?
        }
        Format::Arrow => {
            let plain = Plain::new(&schema);
            rows(stream, Arrow::new(out, plain)?).await?
        }
    };
    out.finish()
}

/// Runs the query and draws its answer as a table of at most `max_rows` rows.
pub(crate) async fn write_table(
    answer: datafusion::prelude::DataFrame,
    out: &mut impl Write,
    max_rows: usize,
) -> Result<(), Failure> {
    let schema = SchemaRef::clone(answer.schema().inner());
    let stream = answer.execute_stream().await?;
    table(stream, out, &schema, max_rows).await
}

async fn rows(
    mut stream: SendableRecordBatchStream,
    mut form: impl Form,
) -> Result<OutputFile, Failure> {
    while let Some(batch) = stream.next().await {
        form.add(&batch?)?;
    }
    form.finish()
}

async fn table(
    mut stream: SendableRecordBatchStream,
    out: &mut impl Write,
    schema: &SchemaRef,
    max_rows: usize,
) -> Result<(), Failure> {
    let mut batches = vec![RecordBatch::new_empty(SchemaRef::clone(schema))];
    let mut shown = 0;
    let mut is_cut = false;
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        let taken = batch.num_rows().min(max_rows - shown);
        is_cut = taken < batch.num_rows();
        shown += taken;
        batches.push(batch.slice(0, taken));
        if is_cut {
            break;
        }
    }
    let drawn = pretty_format_batches(&batches).map_err(arrow_failed)?;
    writeln!(out, "{drawn}")?;
    out.flush()?;
    if is_cut {
        eprintln!(
            "only the first {} are shown; more: --max-rows {}, all: --format csv",
            counted(shown as u64, "row"),
            grouped(shown as u64 * 10).replace(',', "")
        );
    }
    Ok(())
}

/// Fails if a column holds several values per row, which CSV cannot represent.
fn check_flat(schema: &Schema) -> Result<(), Failure> {
    let nested = schema
        .fields()
        .iter()
        .find(|field| field.data_type().is_nested());
    nested.map_or(Ok(()), |field| {
        Err(Failure::request(format!(
            "CSV cannot hold the column `{}`, which has several values per row; unnest it, leave it \
             out, or write --format jsonl",
            field.name()
        )))
    })
}
