//! From finished rows to objects in slots.
//!
//! As a rule an attempt has all rows of its slot and fills it. One that had to end early, whose result
//! is too large for one object, or that finds a tombstone, fills slots below: see
//! [`whence_schemas::placement`]. Rows that were computed are not computed again.

use std::ops::Range;

use arrow::array::{AsArray, StructArray, UInt64Array};
use arrow::compute::take;
use arrow::error::ArrowError;
use bytes::Bytes;
use tracing::info;
use whence_engine::Attribution;
use whence_proto::v1::Outcome;
use whence_schemas::placement::{Placement, halves};
use whence_schemas::store::SlotStore;
use whence_schemas::{Footer, RowError, RowId, SlotId, SlotKind, WorkerId, layout, slot_file};

use crate::commit::commit;
use crate::error::Failure;
use crate::input::InputRows;
use crate::lease::Lease;
use crate::table::{self, TableRow};

/// What became of one row of the dataset: one result per sequence, and one where the row is bad.
pub(crate) type Samples = Vec<Result<Attribution, RowError>>;

/// The rows of a leased slot, of which the first are finished.
pub(crate) struct Publication<'a> {
    /// Where slots are filled.
    pub(crate) store: &'a dyn SlotStore,
    /// Who fills them.
    pub(crate) worker: &'a WorkerId,
    /// Largest object.
    pub(crate) max_bytes: usize,
    pub(crate) lease: &'a Lease,
    pub(crate) input: &'a InputRows,
    /// What became of the first rows.
    pub(crate) results: &'a [Samples],
}

/// What was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Published {
    /// What stands in the leased slot.
    pub(crate) outcome: Outcome,
    /// Bytes of the objects that were offered.
    pub(crate) bytes: u64,
}

impl Publication<'_> {
    /// Fills the leased slot, or those below it whose rows are finished.
    ///
    /// Fails if the store does not answer, or one row alone is too large for an object.
    pub(crate) async fn publish(&self) -> Result<Published, Failure> {
        let root = &self.lease.slot;
        let all = 0..self.input.rows.len() as u64;
        let done = 0..self.results.len() as u64;
        let mut published = Published {
            outcome: Outcome::Superseded,
            bytes: 0,
        };
        // The first half is above the second, so that slots are filled in the order of their rows.
        let mut open = vec![(root.clone(), all)];
        while let Some((slot, rows)) = open.pop() {
            let Some(bytes) = self.object(&slot, &rows, &done)? else {
                continue;
            };
            published.bytes += bytes.object.len() as u64;
            let key = self.key(&slot);
            let mut outcome = commit(self.store, &key, &self.lease.attempt, bytes.object).await?;
            if outcome == Outcome::Committed && bytes.placement == Placement::Tombstone {
                outcome = Outcome::Split;
            }
            if outcome == Outcome::Split {
                info!(%slot, "slot split, its finished rows go into its halves");
                // A single row is never split.
                let rows = halves(&rows).into_iter().flatten();
                let mut below: Vec<_> = slot.split().into_iter().zip(rows).collect();
                below.reverse();
                open.extend(below);
            }
            if slot == *root {
                published.outcome = outcome;
            }
        }
        Ok(published)
    }

    /// Returns what goes into the slot of `rows`, if anything does, where the rows `done` are finished.
    fn object(
        &self,
        slot: &SlotId,
        rows: &Range<u64>,
        done: &Range<u64>,
    ) -> Result<Option<Object>, Failure> {
        let placement = Placement::of(rows, done);
        let whole = match placement {
            Placement::Nothing => return Ok(None),
            Placement::Tombstone => None,
            Placement::Rows => Some(self.encode(slot, rows.clone())?),
        };
        let limit = self.max_bytes;
        let bytes = match whole {
            Some(bytes) if bytes.len() <= limit => bytes,
            Some(bytes) if halves(rows).is_none() => {
                return Err(Failure::TooLarge {
                    bytes: bytes.len(),
                    limit,
                });
            }
            _ => {
                let object = self.tombstone(slot)?.into();
                return Ok(Some(Object {
                    placement: Placement::Tombstone,
                    object,
                }));
            }
        };
        Ok(Some(Object {
            placement,
            object: bytes.into(),
        }))
    }

    /// Returns the name of a slot's object: beside that of the leased slot.
    fn key(&self, slot: &SlotId) -> String {
        let key = &self.lease.slot_key;
        let (folder, _) = key.rsplit_once('/').unwrap_or_default();
        layout::slot(folder, slot)
    }

    /// Encodes the table of some rows, all of which are finished.
    fn encode(&self, slot: &SlotId, rows: Range<u64>) -> Result<Vec<u8>, Failure> {
        let rows = rows.start as usize..rows.end as usize;
        let results = &self.results[rows.clone()];
        let errors = count_failed(results);
        let (table_rows, columns) = self.table_rows(rows)?;
        let step_scores = self.lease.spec.attribution.step_score_labels();
        let batch = table::encode(&table_rows, &step_scores, columns.as_ref())?;
        let counts = (results.len() as u64, errors);
        let footer = self.footer(slot, SlotKind::Full, counts);
        Ok(slot_file::encode(&batch, &footer)?)
    }

    /// Encodes the object that says that a slot is split: the table without rows.
    fn tombstone(&self, slot: &SlotId) -> Result<Vec<u8>, Failure> {
        let step_scores = self.lease.spec.attribution.step_score_labels();
        let columns = self.input.columns.as_ref();
        let columns = columns.map(|columns| columns.slice(0, 0));
        let batch = table::encode(&[], &step_scores, columns.as_ref())?;
        let footer = self.footer(slot, SlotKind::Tombstone, (0, 0));
        Ok(slot_file::encode(&batch, &footer)?)
    }

    fn footer(&self, slot: &SlotId, kind: SlotKind, (examples, errors): (u64, u64)) -> Footer {
        Footer {
            slot: slot.clone(),
            attempt: self.lease.attempt.clone(),
            kind,
            examples,
            errors,
            worker: self.worker.clone(),
            epoch: self.lease.epoch,
            spec_json: self.lease.spec.canonical_json(),
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Returns a row of the table for every result of the dataset's `rows`, and the carried columns of
    /// each.
    fn table_rows(
        &self,
        rows: Range<usize>,
    ) -> Result<(Vec<TableRow>, Option<StructArray>), ArrowError> {
        let forces = self.lease.spec.forces_targets();
        let mut table_rows = Vec::with_capacity(rows.len());
        let mut origins = Vec::with_capacity(rows.len());
        for origin in rows {
            let row = &self.input.rows[origin];
            for (sample, result) in (0..).zip(&self.results[origin]) {
                let example = row.example_id;
                origins.push(origin as u64);
                table_rows.push(TableRow {
                    id: RowId { example, sample },
                    input_text: row.input_text.clone(),
                    forced: result.as_ref().map_or(forces, |result| result.forced),
                    result: result.clone(),
                });
            }
        }
        let columns = match &self.input.columns {
            None => None,
            Some(columns) => {
                let taken = take(columns, &UInt64Array::from(origins), None)?;
                Some(taken.as_struct().clone())
            }
        };
        Ok((table_rows, columns))
    }
}

/// What goes into one slot.
struct Object {
    placement: Placement,
    object: Bytes,
}

/// Returns how many rows of the dataset have a result that is an error.
pub(crate) fn count_failed(results: &[Samples]) -> u64 {
    let has_failed = |samples: &&Samples| samples.iter().any(Result::is_err);
    results.iter().filter(has_failed).count() as u64
}
