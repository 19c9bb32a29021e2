//! The manifest that ends a job: which objects are its table.

use serde::{Deserialize, Serialize};
use whence_schemas::{JobId, SlotKind, layout};

use crate::job::{FillKind, Job, SlotState, Totals};

/// What stands in `sealed.json`. Once it does, the table's listing never changes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The job.
    pub job: JobId,
    /// [`layout::LAYOUT_VERSION`] of the objects.
    pub layout_version: u32,
    /// The table's objects, in the order of their names.
    pub files: Vec<ManifestFile>,
    /// Rows of the dataset that all of them answer.
    pub rows: u64,
    /// How many of them have an error row.
    pub errors: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// One object of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its name below the root.
    pub key: String,
    /// What it holds.
    pub kind: SlotKind,
    /// Rows of the dataset it answers.
    pub rows: u64,
    /// How many of them have an error row.
    pub errors: u64,
    /// Its length.
    pub bytes: u64,
}

impl Manifest {
    /// Lists the objects of a job whose every slot is filled.
    pub fn of(job: &Job) -> Self {
        let files = job.slots().filter_map(|(slot, state)| {
            let (kind, rows, errors, bytes) = match state {
                SlotState::Filled(fill) => {
                    let kind = match fill.kind {
                        FillKind::Full => SlotKind::Full,
                        FillKind::Quarantine => SlotKind::Quarantine,
                    };
                    (kind, fill.rows, fill.errors, fill.bytes)
                }
                SlotState::Split { bytes } => (SlotKind::Tombstone, 0, 0, *bytes),
                _ => return None,
            };
            Some(ManifestFile {
                key: layout::slot(job.table(), slot),
                kind,
                rows,
                errors,
                bytes,
            })
        });
        let mut files: Vec<_> = files.collect();
        files.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Self {
            job: job.id().clone(),
            layout_version: layout::LAYOUT_VERSION,
            rows: files.iter().map(|file| file.rows).sum(),
            errors: files.iter().map(|file| file.errors).sum(),
            bytes: files.iter().map(|file| file.bytes).sum(),
            files,
        }
    }

    /// Returns how far a job with this manifest is: all the way.
    pub fn totals(&self) -> Totals {
        let tombstones = self
            .files
            .iter()
            .filter(|file| file.kind == SlotKind::Tombstone);
        let slots = (self.files.len() - tombstones.count()) as u64;
        Totals {
            rows: self.rows,
            rows_done: self.rows,
            rows_failed: self.errors,
            slots,
            slots_done: slots,
            ..Totals::default()
        }
    }
}
