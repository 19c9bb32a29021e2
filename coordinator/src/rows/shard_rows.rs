//! Reads the rows of one slot as Arrow batches.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Fields, Schema};
use whence_schemas::job::DatasetSource;
use whence_schemas::plan::Plan;
use whence_schemas::{AttributionSpec, SlotId, input};

use super::batch::{BatchBuilder, Inputs};
use super::fields::RowFields;
use super::files;
use super::verified::{ShardFiles, VerifiedRows};
use crate::Error;

/// A batch ends after this many rows or this many bytes of text, whichever comes first.
const BATCH_ROWS: usize = 256;
const BATCH_BYTES: usize = 512 << 10;

/// Opens the rows of `slot`, after comparing the shard it belongs to with the plan.
///
/// Fails if a file cannot be read, or if its rows are not those of the plan.
pub fn read_rows(
    dataset: &DatasetSource,
    plan: &Arc<Plan>,
    slot: &SlotId,
) -> Result<ShardRows, Error> {
    let rows = plan
        .rows(slot)
        .ok_or_else(|| Error::Internal(format!("the plan has no slot `{slot}`")))?;
    let shard = ShardFiles {
        files: files::reader(dataset)?,
        plan: Arc::clone(plan),
        index: slot.shard_index(),
        fields: RowFields::new(dataset)?,
    };
    Ok(ShardRows {
        verified: VerifiedRows::open(shard, &rows)?,
        inputs: Inputs::Texts,
        columns: input::text_columns(&dataset.columns),
        rows,
    })
}

/// Reads a slot's rows as batches of [`input::schema`].
pub struct ShardRows {
    verified: VerifiedRows,
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
    /// A row that cannot be read becomes a row with an error. Fails if a file cannot be read, or has
    /// changed since the slot was opened.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>, Error> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let first = self.rows.start;
        let mut builder = BatchBuilder::new(self.columns.len());
        let max_rows = (self.rows.end - first).min(BATCH_ROWS as u64);
        while self.rows.start - first < max_rows && builder.num_bytes < BATCH_BYTES {
            let row = self.verified.next()?;
            let row = row.ok_or_else(|| Error::Internal("a slot ended too soon".to_owned()))?;
            builder.add(&row, self.verified.fields(), self.inputs);
            self.rows.start += 1;
        }
        let ids = first as i64..self.rows.start as i64;
        builder
            .finish(ids, Arc::new(self.schema()), &self.columns)
            .map(Some)
    }
}
