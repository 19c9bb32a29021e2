//! Answers, written as they come.

use std::fs::File;
use std::io::{BufWriter, Write};

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

/// Writes `answer` as `options` say. Returns how many rows it had.
pub async fn write(
    answer: datafusion::prelude::DataFrame,
    options: &OutputOptions,
) -> Result<u64, Failure> {
    let schema = SchemaRef::clone(answer.schema().inner());
    let stream = answer.execute_stream().await?;
    let out: Box<dyn Write + Send> = match &options.output {
        Some(path) => {
            let file = File::create(path).map_err(|error| {
                Failure::request(format!("create `{}`: {error}", path.display()))
            })?;
            Box::new(BufWriter::new(file))
        }
        None => Box::new(BufWriter::new(std::io::stdout())),
    };
    match options.format {
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
    }
}

/// A form that takes batches one after the other.
trait Form {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Failure>;
    fn finish(self) -> Result<(), Failure>;
}

async fn rows(mut stream: SendableRecordBatchStream, mut form: impl Form) -> Result<u64, Failure> {
    let mut count = 0;
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        count += batch.num_rows() as u64;
        form.add(&batch)?;
    }
    form.finish()?;
    Ok(count)
}

async fn table(
    mut stream: SendableRecordBatchStream,
    mut out: impl Write,
    schema: &SchemaRef,
    max_rows: usize,
) -> Result<u64, Failure> {
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
    Ok(shown as u64)
}

struct Csv<W: Write> {
    writer: arrow::csv::Writer<W>,
    schema: SchemaRef,
}

impl<W: Write> Form for Csv<W> {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        self.writer.write(batch).map_err(arrow_failed)
    }

    fn finish(mut self) -> Result<(), Failure> {
        // The header stands even if no row follows it.
        let empty = RecordBatch::new_empty(self.schema);
        self.writer.write(&empty).map_err(arrow_failed)?;
        Ok(self.writer.into_inner().flush()?)
    }
}

struct Json<W: Write>(LineDelimitedWriter<W>);

impl<W: Write> Form for Json<W> {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        self.0.write(batch).map_err(arrow_failed)
    }

    fn finish(mut self) -> Result<(), Failure> {
        self.0.finish().map_err(arrow_failed)?;
        Ok(self.0.into_inner().flush()?)
    }
}

struct Parquet<W: Write + Send>(ArrowWriter<W>);

impl<W: Write + Send> Form for Parquet<W> {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        self.0.write(batch).map_err(parquet_failed)
    }

    fn finish(self) -> Result<(), Failure> {
        let mut out = self.0.into_inner().map_err(parquet_failed)?;
        Ok(out.flush()?)
    }
}

/// Fails if a column holds more than one value a row, which CSV cannot.
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
