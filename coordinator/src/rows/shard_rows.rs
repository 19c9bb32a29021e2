//! Reads the rows of one slot as Arrow batches.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Fields, Schema};
use whence_datasets::{DatasetReader, RowReader};
use whence_schemas::job::DatasetSource;
use whence_schemas::plan::Plan;
use whence_schemas::{AttributionSpec, SlotId, input};

use super::batch::{BatchBuilder, Inputs};
use super::fields::RowFields;
use super::files;
use crate::Error;

/// A batch ends after this many rows or this many bytes of text, whichever comes first.
const BATCH_ROWS: usize = 256;
const BATCH_BYTES: usize = 512 << 10;

/// Opens the rows of `slot`. A split slot is read from the start of its shard, because only shards
/// have a known position in the file; the rows before it are skipped.
pub fn read_rows(
    dataset: &DatasetSource,
    plan: &Arc<Plan>,
    slot: &SlotId,
) -> Result<ShardRows, Error> {
    let unknown = || Error::Internal(format!("the plan has no slot `{slot}`"));
    let shard = plan.shards.get(slot.shard_index()).ok_or_else(unknown)?;
    let rows = plan.rows(slot).ok_or_else(unknown)?;
    let fields = RowFields::new(dataset)?;
    let file = plan.files.get(shard.cursor.file).ok_or_else(unknown)?;
    let opened = files::reader(dataset)?;
    let mut reader = ShardRows {
        reader: opened.rows(file, shard.cursor.offset, fields.paths())?,
        files: opened,
        plan: Arc::clone(plan),
        file: shard.cursor.file,
        inputs: Inputs::Texts,
        columns: input::text_columns(&dataset.columns),
        fields,
        rows: rows.clone(),
    };
    for _ in shard.rows.start..rows.start {
        reader.skip()?;
    }
    Ok(reader)
}

/// Reads a slot's rows as batches of [`input::schema`].
pub struct ShardRows {
    files: DatasetReader,
    plan: Arc<Plan>,
    /// Index in the plan of the file that is read.
    file: usize,
    reader: Box<dyn RowReader>,
    fields: RowFields,
    inputs: Inputs,
    columns: Fields,
    rows: Range<u64>,
}

impl ShardRows {
    /// Accepts lists of messages as inputs, besides texts, if `spec` uses a chat template.
    #[must_use]
    pub fn for_attribution(self, spec: &AttributionSpec) -> Self {
        let inputs = match spec.chat {
            Some(_) => Inputs::Conversations,
            None => Inputs::Texts,
        };
        Self { inputs, ..self }
    }

    /// Returns the schema of the batches, which is an [`input::schema`].
    pub fn schema(&self) -> Schema {
        input::schema(&self.columns)
    }

    /// Returns the next batch of rows, or `None` after the last.
    ///
    /// A row that cannot be read becomes a row with an error. Fails if a file cannot be read or has
    /// fewer rows than when the job was submitted.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>, Error> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let first = self.rows.start;
        let mut builder = BatchBuilder::new(self.columns.len());
        let max_rows = (self.rows.end - first).min(BATCH_ROWS as u64);
        while self.rows.start - first < max_rows && builder.num_bytes < BATCH_BYTES {
            let row = loop {
                if let Some(row) = self.reader.next()? {
                    break row;
                }
                self.open_next_file()?;
            };
            builder.add(&row, &self.fields, self.inputs);
            self.rows.start += 1;
        }
        let ids = first as i64..self.rows.start as i64;
        builder
            .finish(ids, Arc::new(self.schema()), &self.columns)
            .map(Some)
    }

    fn skip(&mut self) -> Result<(), Error> {
        while !self.reader.skip()? {
            self.open_next_file()?;
        }
        Ok(())
    }

    fn open_next_file(&mut self) -> Result<(), Error> {
        let Some(file) = self.plan.files.get(self.file + 1) else {
            let ended = whence_datasets::Error::Content {
                path: self.plan.files[self.file].path.clone().into(),
                reason: "it ends before the rows it had at submission".to_owned(),
            };
            return Err(ended.into());
        };
        self.reader = self.files.rows(file, 0, self.fields.paths())?;
        self.file += 1;
        Ok(())
    }
}
