//! The output formats that are written one batch at a time.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::FileWriter;
use arrow::json::writer::{JsonArray, LineDelimited, Writer, WriterBuilder};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::plain::Plain;
use crate::Failure;
use crate::output_file::OutputFile;

/// Rows per row group of a Parquet file: enough to compress well, few enough to hold in memory.
const ROW_GROUP_ROWS: usize = 1 << 18;

/// An output format that is written one batch at a time.
pub(super) trait Form {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Failure>;
    /// Writes the end of the answer and returns the underlying file.
    fn finish(self) -> Result<OutputFile, Failure>;
}

pub(super) struct Csv {
    writer: arrow::csv::Writer<OutputFile>,
    schema: SchemaRef,
}

impl Csv {
    pub(super) fn new(out: OutputFile, schema: SchemaRef) -> Self {
        let writer = arrow::csv::WriterBuilder::new()
            .with_header(true)
            .build(out);
        Self { writer, schema }
    }
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

/// One JSON array of objects.
pub(super) struct Json(Writer<OutputFile, JsonArray>);

impl Json {
    pub(super) fn new(out: OutputFile) -> Self {
        Self(json().build(out))
    }
}

impl Form for Json {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        self.0.write(batch).map_err(arrow_failed)
    }

    fn finish(mut self) -> Result<OutputFile, Failure> {
        self.0.finish().map_err(arrow_failed)?;
        Ok(self.0.into_inner())
    }
}

/// One JSON object per line.
pub(super) struct Lines(Writer<OutputFile, LineDelimited>);

impl Lines {
    pub(super) fn new(out: OutputFile) -> Self {
        Self(json().build(out))
    }
}

impl Form for Lines {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        self.0.write(batch).map_err(arrow_failed)
    }

    fn finish(mut self) -> Result<OutputFile, Failure> {
        self.0.finish().map_err(arrow_failed)?;
        Ok(self.0.into_inner())
    }
}

/// Returns how JSON is written: with all keys in every object, so that a column of nulls is seen.
fn json() -> WriterBuilder {
    WriterBuilder::new().with_explicit_nulls(true)
}

pub(super) struct Parquet {
    writer: ArrowWriter<OutputFile>,
    plain: Plain,
}

impl Parquet {
    pub(super) fn new(out: OutputFile, plain: Plain) -> Result<Self, Failure> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .build();
        let schema = SchemaRef::clone(&plain.schema);
        let writer = ArrowWriter::try_new(out, schema, Some(properties)).map_err(parquet_failed)?;
        Ok(Self { writer, plain })
    }
}

impl Form for Parquet {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        let batch = self.plain.batch(batch).map_err(arrow_failed)?;
        self.writer.write(&batch).map_err(parquet_failed)
    }

    fn finish(self) -> Result<OutputFile, Failure> {
        self.writer.into_inner().map_err(parquet_failed)
    }
}

/// An Arrow IPC file, also known as Feather.
pub(super) struct Arrow {
    writer: FileWriter<OutputFile>,
    plain: Plain,
}

impl Arrow {
    pub(super) fn new(out: OutputFile, plain: Plain) -> Result<Self, Failure> {
        let writer = FileWriter::try_new(out, &plain.schema).map_err(arrow_failed)?;
        Ok(Self { writer, plain })
    }
}

impl Form for Arrow {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        let batch = self.plain.batch(batch).map_err(arrow_failed)?;
        self.writer.write(&batch).map_err(arrow_failed)
    }

    fn finish(self) -> Result<OutputFile, Failure> {
        self.writer.into_inner().map_err(arrow_failed)
    }
}

/// Explains why a batch could not be written.
pub(super) fn arrow_failed(error: arrow::error::ArrowError) -> Failure {
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
