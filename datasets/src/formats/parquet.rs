//! Parquet files: reads only the columns that are needed, in batches of a few hundred rows.

use std::io::Read;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use whence_schemas::ordered::OrderedJson;
use whence_schemas::panics;

use crate::Error;
use crate::content::SharedContent;
use crate::field::{Cell, FieldPath, Step, item_index};
use crate::format::{Format, Row, RowReader};

/// Rows decoded at a time. Few enough that a batch of long texts does not take much memory.
const BATCH_ROWS: usize = 256;

/// The Parquet format. An offset in its files is a row number.
#[derive(Debug)]
pub(super) struct Parquet;

impl Format for Parquet {
    fn open(
        &self,
        content: &SharedContent,
        offset: u64,
        fields: &[FieldPath],
    ) -> Result<Box<dyn RowReader>, Error> {
        let (file, metadata) = open_file(content)?;
        let schema = metadata.schema().clone();
        // A column is read if a path starts in it, or if its own name is the whole path.
        let wanted = |field: &Field| {
            fields
                .iter()
                .any(|path| path.column() == field.name() || path.as_str() == field.name())
        };
        let roots = schema.fields().iter().enumerate();
        let roots = roots.filter_map(|(root, field)| wanted(field).then_some(root));
        let mask = ProjectionMask::roots(metadata.parquet_schema(), roots);
        let (groups, passed) = groups_from(&metadata, offset);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
            .with_row_groups(groups)
            // Counted from the first of the chosen row groups.
            .with_offset((offset - passed) as usize)
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS);
        let reader = guarded(content, || reader.build())?;
        Ok(Box::new(ParquetRows {
            content: SharedContent::clone(content),
            schema,
            reader,
            batch: None,
            offset,
            fields: fields.to_vec(),
        }))
    }

    fn count(&self, content: &SharedContent) -> Result<u64, Error> {
        let (_, metadata) = open_file(content)?;
        Ok(metadata.metadata().file_metadata().num_rows() as u64)
    }
}

fn open_file(content: &SharedContent) -> Result<(Chunks, ArrowReaderMetadata), Error> {
    let chunks = Chunks(SharedContent::clone(content));
    let load = || ArrowReaderMetadata::load(&chunks, ArrowReaderOptions::new());
    let metadata = guarded(content, load)?;
    Ok((chunks, metadata))
}

/// A file as the Parquet reader asks for it: by ranges.
struct Chunks(SharedContent);

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.0.num_bytes()
    }
}

impl ChunkReader for Chunks {
    type T = Box<dyn Read + Send>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(self.0.reader(start)?)
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let end = start + length as u64;
        if end > self.0.num_bytes() {
            return Err(ParquetError::EOF(format!("it ends before byte {end}")));
        }
        Ok(self.0.read_range(start..end)?)
    }
}

/// Runs a step of the Parquet reader. On damaged files it usually fails but sometimes panics; both
/// become an error that names the file.
fn guarded<T, E: std::error::Error>(
    content: &SharedContent,
    read: impl FnOnce() -> Result<T, E>,
) -> Result<T, Error> {
    match panics::caught(read) {
        Ok(read) => read.map_err(|error| damaged(content, &error.to_string())),
        Err(panic) => Err(damaged(
            content,
            &format!("the reader cannot take it ({panic})"),
        )),
    }
}

/// Returns the row groups from the one that holds row `offset` onward, and how many rows come
/// before the first of them.
fn groups_from(metadata: &ArrowReaderMetadata, offset: u64) -> (Vec<usize>, u64) {
    let mut passed = 0;
    let groups = metadata.metadata().row_groups();
    for (index, group) in groups.iter().enumerate() {
        let rows = group.num_rows() as u64;
        if passed + rows > offset {
            return ((index..groups.len()).collect(), passed);
        }
        passed += rows;
    }
    (Vec::new(), offset)
}

struct ParquetRows {
    content: SharedContent,
    schema: SchemaRef,
    reader: ParquetRecordBatchReader,
    /// The current batch, and how many of its rows have been read.
    batch: Option<(RecordBatch, usize)>,
    offset: u64,
    fields: Vec<FieldPath>,
}

impl ParquetRows {
    /// Moves to the next row. Returns its batch and its index in it, or `None` at the end.
    fn advance(&mut self) -> Result<Option<(RecordBatch, usize)>, Error> {
        loop {
            if let Some((batch, used)) = &mut self.batch
                && *used < batch.num_rows()
            {
                let row = *used;
                *used += 1;
                self.offset += 1;
                return Ok(Some((batch.clone(), row)));
            }
            let next = guarded(&self.content, || self.reader.next().transpose())?;
            let Some(batch) = next else {
                return Ok(None);
            };
            self.batch = Some((batch, 0));
        }
    }
}

impl RowReader for ParquetRows {
    fn offset(&self) -> u64 {
        self.offset
    }

    fn next(&mut self) -> Result<Option<Row>, Error> {
        let Some((batch, row)) = self.advance()? else {
            return Ok(None);
        };
        let cells = self.fields.iter().map(|field| cell(&batch, row, field));
        Ok(Some(Ok(cells.collect())))
    }

    fn skip(&mut self) -> Result<bool, Error> {
        Ok(self.advance()?.is_some())
    }

    fn columns(&self) -> Vec<String> {
        let names = self
            .schema
            .fields()
            .iter()
            .flat_map(|field| match field.data_type() {
                DataType::Struct(children) => children
                    .iter()
                    .map(|child| format!("{}.{}", field.name(), child.name()))
                    .collect(),
                _ => vec![field.name().clone()],
            });
        names.collect()
    }
}

/// Returns what a row holds at the path `field`. A column with that very name takes precedence.
fn cell(batch: &RecordBatch, row: usize, field: &FieldPath) -> Cell {
    if let Some(column) = batch.column_by_name(field.as_str()) {
        return Cell::from(&value(column, row));
    }
    let Some(mut array) = batch.column_by_name(field.column()).cloned() else {
        return Cell::Absent;
    };
    let mut row = row;
    for step in field.steps() {
        if array.is_null(row) {
            return Cell::Null;
        }
        let next = match step {
            Step::Key(key) => child(&array, key).map(|child| (child, row)),
            Step::Index(index) => items(&array, row)
                .and_then(|items| item_index(*index, items.len()).map(|place| (items, place))),
        };
        let Some(next) = next else {
            return Cell::Absent;
        };
        (array, row) = next;
    }
    Cell::from(&value(&array, row))
}

fn child(array: &ArrayRef, key: &str) -> Option<ArrayRef> {
    array.as_struct_opt()?.column_by_name(key).cloned()
}

/// Returns the items of the list in `row`; `None` if the column does not hold lists.
fn items(array: &ArrayRef, row: usize) -> Option<ArrayRef> {
    match array.data_type() {
        DataType::List(_) => Some(array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => Some(array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(_, _) => Some(array.as_fixed_size_list().value(row)),
        _ => None,
    }
}

/// Returns one value as JSON. A type that JSON lacks, such as a date, becomes the text that Arrow
/// displays for it.
fn value(array: &ArrayRef, row: usize) -> OrderedJson {
    if array.is_null(row) {
        return OrderedJson::Null;
    }
    if let Some(items) = items(array, row) {
        let items = (0..items.len()).map(|item| value(&items, item));
        return OrderedJson::List(items.collect());
    }
    match array.data_type() {
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            let members = columns.map(|(field, column)| (field.name().clone(), value(column, row)));
            OrderedJson::Object(members.collect())
        }
        DataType::Boolean => OrderedJson::Bool(array.as_boolean().value(row)),
        kind => {
            let text = arrow::util::display::array_value_to_string(array, row).unwrap_or_default();
            // A number whose text is not valid JSON, such as NaN, stays text.
            let number = kind.is_numeric().then(|| serde_json::from_str(&text).ok());
            number.flatten().unwrap_or(OrderedJson::Text(text))
        }
    }
}

fn damaged(content: &SharedContent, reason: &str) -> Error {
    Error::Content {
        path: content.name().into(),
        reason: format!("it is not a whole Parquet file: {reason}"),
    }
}
