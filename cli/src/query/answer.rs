//! Writes the answer to a query, batch by batch, in the format that was asked for.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::json::LineDelimitedWriter;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt;
use parquet::arrow::ArrowWriter;

use crate::Failure;
use crate::args::{Format, OutputOptions};
use crate::output::{counted, grouped};
use crate::output_file::OutputFile;

/// Runs the query and writes its answer to `out` in the format given in `options`.
pub(crate) async fn write(
    answer: datafusion::prelude::DataFrame,
    out: OutputFile,
    options: &OutputOptions,
) -> Result<(), Failure> {
    let schema = SchemaRef::clone(answer.schema().inner());
    let stream = answer.execute_stream().await?;
    let out = match options.format {
        Format::Table => table(stream, out, &schema, options.max_rows).await,
        Format::Csv => {
            check_flat(&schema)?;
            let writer = arrow::csv::WriterBuilder::new()
                .with_header(true)
                .build(out);
            rows(stream, Csv { writer, schema }).await
        }
        Format::Json => rows(stream, Json(LineDelimitedWriter::new(out))).await,
        Format::Parquet => {
            let writer = ArrowWriter::try_new(out, schema, None);
            rows(stream, Parquet(writer.map_err(parquet_failed)?)).await
        }
    }?;
    out.finish()
}

/// An output format that is written one batch at a time.
trait Form {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Failure>;
    /// Writes the end of the answer and returns the underlying file.
    fn finish(self) -> Result<OutputFile, Failure>;
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
    mut out: OutputFile,
    schema: &SchemaRef,
    max_rows: usize,
) -> Result<OutputFile, Failure> {
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
    Ok(out)
}

struct Csv {
    writer: arrow::csv::Writer<OutputFile>,
    schema: SchemaRef,
}

impl Form for Csv {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        self.writer.write(batch).map_err(arrow_failed)
    }

    fn finish(mut self) -> Result<OutputFile, Failure> {
        // The writer prints the header with the first batch; an empty one prints it if there are no
        // rows.
        let empty = RecordBatch::new_empty(self.schema);
        self.writer.write(&empty).map_err(arrow_failed)?;
        Ok(self.writer.into_inner())
    }
}

struct Json(LineDelimitedWriter<OutputFile>);

impl Form for Json {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        self.0.write(batch).map_err(arrow_failed)
    }

    fn finish(mut self) -> Result<OutputFile, Failure> {
        self.0.finish().map_err(arrow_failed)?;
        Ok(self.0.into_inner())
    }
}

struct Parquet(ArrowWriter<OutputFile>);

impl Form for Parquet {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        self.0.write(batch).map_err(parquet_failed)
    }

    fn finish(self) -> Result<OutputFile, Failure> {
        self.0.into_inner().map_err(parquet_failed)
    }
}

/// Fails if a column holds several values per row, which CSV cannot represent.
fn check_flat(schema: &SchemaRef) -> Result<(), Failure> {
    let nested = schema
        .fields()
        .iter()
        .find(|field| field.data_type().is_nested());
    nested.map_or(Ok(()), |field| {
        Err(Failure::request(format!(
            "CSV cannot hold the column `{}`, which has several values a row; unnest it, leave it \
             out, or write --format json",
            field.name()
        )))
    })
}

fn arrow_failed(error: arrow::error::ArrowError) -> Failure {
    match error {
        arrow::error::ArrowError::IoError(_, error) => error.into(),
        error => Failure::run(format!("write the answer: {error}")),
    }
}

fn parquet_failed(error: parquet::errors::ParquetError) -> Failure {
    match error {
        parquet::errors::ParquetError::External(cause) => {
            match cause.downcast::<std::io::Error>() {
                Ok(error) => (*error).into(),
                Err(cause) => Failure::run(format!("write the answer: {cause}")),
            }
        }
        error => Failure::run(format!("write the answer: {error}")),
    }
}
