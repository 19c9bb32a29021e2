//! Publishes finished rows: encodes them and fills the slots they belong to.
//!
//! Usually an attempt has all rows of its slot and fills it. An attempt that had to end early,
//! whose result is too large for one object, or that finds a tombstone fills slots below its own:
//! see [`whence_schemas::placement`]. No row is computed again for that.

use std::ops::Range;

use arrow::array::{AsArray, StructArray, UInt64Array};
use arrow::compute::take;
use arrow::error::ArrowError;
use bytes::Bytes;
use tracing::info;
use whence_proto::v1::Outcome;
use whence_schemas::placement::{Placement, halves};
use whence_schemas::retry::RetryPolicy;
use whence_schemas::store::SlotStore;
use whence_schemas::{
    CrashPoint, Footer, RowError, RowId, SlotId, SlotKind, WorkerId, layout, slot_file,
};

use crate::commit::commit;
use crate::computation::{Computation, Samples};
use crate::error::Failure;
use crate::input::{InputRow, InputRows};
use crate::lease::Lease;
use crate::table::TableRow;

/// The rows of a leased slot and the results of the first of them, ready to be written.
pub(crate) struct Publication<'a, C: Computation> {
    /// The store that holds the slots.
    pub(crate) store: &'a dyn SlotStore,
    /// The worker's id, written into every footer.
    pub(crate) worker: &'a WorkerId,
    /// Maximum size of one object, in bytes.
    pub(crate) max_bytes: usize,
    /// How long the store is asked again.
    pub(crate) policy: RetryPolicy,
    pub(crate) lease: &'a Lease,
    pub(crate) input: &'a InputRows,
    /// Results of the first rows of `input`; of all, if the attempt was not interrupted. `None` for a row
    /// that another worker has to compute.
    pub(crate) results: &'a [Option<Samples<C::Output>>],
}

/// What was written to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Published {
    /// What is now in the leased slot.
    pub(crate) outcome: Outcome,
    /// Total size of the objects that were written or offered, in bytes.
    pub(crate) bytes: u64,
}

impl<C: Computation> Publication<'_, C> {
    /// Fills the leased slot, or the slots below it whose rows are finished.
    ///
    /// Fails if the store does not answer, or if a single row is too large for one object.
    pub(crate) async fn publish(&self) -> Result<Published, Failure> {
        let root = &self.lease.slot;
        let all = 0..self.input.rows.len() as u64;
        let mut published = Published {
            outcome: Outcome::Superseded,
            bytes: 0,
        };
        // A stack with the first half on top, so that slots are filled in the order of their rows.
        let mut open = vec![(root.clone(), all)];
        while let Some((slot, rows)) = open.pop() {
            let Some(bytes) = self.object(&slot, &rows)? else {
                continue;
            };
            published.bytes += bytes.object.len() as u64;
            if bytes.placement == Placement::Tombstone {
                CrashPoint::WorkerBeforeTombstone.pass();
            }
            let key = self.key(&slot);
            let attempt = &self.lease.attempt;
            let committed = commit(self.store, &key, attempt, bytes.object, self.policy);
            let mut outcome = committed.await?;
            if outcome == Outcome::Committed && bytes.placement == Placement::Tombstone {
                // `commit` only sees that our object was written; that it is a tombstone makes the
                // slot split.
                outcome = Outcome::Split;
            }
            if outcome == Outcome::Split {
                CrashPoint::WorkerAfterTombstone.pass();
                info!(%slot, "slot split, its finished rows go into its halves");
                // `halves` is `None` for a single row, which is never split, so nothing is added
                // then.
                let rows = halves(&rows).into_iter().flatten();
                let mut below: Vec<_> = slot.split().into_iter().zip(rows).collect();
                below.reverse();
                open.extend(below);
            }
            if slot == *root {
                published.outcome = outcome;
            } else if !open.is_empty() {
                CrashPoint::WorkerBetweenHalves.pass();
            }
        }
        Ok(published)
    }

    /// Returns the object that fills the leased slot with all of its rows, or `None` if there is none.
    ///
    /// Fails as [`Publication::publish`] does.
    pub(crate) fn whole(&self) -> Result<Option<Bytes>, Failure> {
        let all = 0..self.input.rows.len() as u64;
        let object = self.object(&self.lease.slot, &all)?;
        let object = object.filter(|object| object.placement == Placement::Rows);
        Ok(object.map(|object| object.object))
    }

    /// Returns the object for the slot of `rows`, or `None` if none of them is finished. A result that
    /// is too large becomes a tombstone, so that its halves hold it.
    fn object(&self, slot: &SlotId, rows: &Range<u64>) -> Result<Option<Object>, Failure> {
        let is_done = |row: u64| self.results.get(row as usize).is_some_and(Option::is_some);
        let placement = Placement::of(rows, is_done);
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

    /// Returns the key of a slot's object, which is in the same folder as that of the leased slot.
    fn key(&self, slot: &SlotId) -> String {
        let key = &self.lease.slot_key;
        let (folder, _) = key.rsplit_once('/').unwrap_or_default();
        layout::slot(folder, slot)
    }

    /// Encodes the table of `rows`, which must all be finished.
    fn encode(&self, slot: &SlotId, rows: Range<u64>) -> Result<Vec<u8>, Failure> {
        let rows = rows.start as usize..rows.end as usize;
        let results = &self.results[rows.clone()];
        let errors = count_failed(results.iter().flatten());
        let (table_rows, columns) = self.table_rows(rows)?;
        let batch = C::encode(&table_rows, &self.lease.spec, columns.as_ref())?;
        let counts = (results.len() as u64, errors);
        let footer = self.footer(slot, SlotKind::Full, counts);
        Ok(slot_file::encode(&batch, &footer)?)
    }

    /// Encodes a tombstone, the object that marks a slot as split: the table without rows.
    fn tombstone(&self, slot: &SlotId) -> Result<Vec<u8>, Failure> {
        let columns = self.input.columns.as_ref();
        let columns = columns.map(|columns| columns.slice(0, 0));
        let batch = C::encode(&[], &self.lease.spec, columns.as_ref())?;
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

    /// Returns one table row per result of the dataset's `rows`, and the carried columns, repeated
    /// for each of a row's results.
    fn table_rows(&self, rows: Range<usize>) -> Result<(Rows<C>, Option<StructArray>), ArrowError> {
        let forces = self.lease.spec.forces_targets();
        let mut table_rows = Vec::with_capacity(rows.len());
        let mut origins = Vec::with_capacity(rows.len());
        for origin in rows {
            let row = &self.input.rows[origin];
            let samples = self.results[origin].as_deref().unwrap_or_default();
            origins.resize(origins.len() + samples.len(), origin as u64);
            table_rows.extend(rows_of_samples::<C>(row, samples, forces));
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

/// The rows of a table.
type Rows<C> = Vec<TableRow<<C as Computation>::Output>>;

/// The object to write to one slot.
struct Object {
    placement: Placement,
    object: Bytes,
}

/// Returns one table row per result of a dataset row. `forces` says whether the job forces targets,
/// which is told of error rows too.
pub(crate) fn rows_of_samples<C: Computation>(
    row: &InputRow,
    samples: &[Result<C::Output, RowError>],
    forces: bool,
) -> impl Iterator<Item = TableRow<C::Output>> {
    (0..).zip(samples).map(move |(sample, result)| TableRow {
        id: RowId {
            example: row.example_id,
            sample,
        },
        input_text: row.input_text.clone(),
        forced: result.as_ref().map_or(forces, C::is_forced),
        result: result.clone(),
    })
}

/// Returns the number of dataset rows with at least one result that is an error.
pub(crate) fn count_failed<'s, R: 's>(results: impl IntoIterator<Item = &'s Samples<R>>) -> u64 {
    let has_failed = |samples: &&Samples<R>| samples.iter().any(Result::is_err);
    results.into_iter().filter(has_failed).count() as u64
}

#[cfg(test)]
mod tests;
