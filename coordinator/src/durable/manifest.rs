//! The manifest that seals a finished job: the list of the objects that make up its table.

use serde::{Deserialize, Serialize};
use whence_schemas::{JobId, SlotKind, layout};

use crate::job::{FillKind, Job, SlotState, Totals};

/// The content of `sealed.json`. Once it is written, the table never changes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The job.
    pub job: JobId,
    /// The [`layout::LAYOUT_VERSION`] with which the objects were written.
    pub layout_version: u32,
    /// The table's objects, sorted by name.
    pub files: Vec<ManifestFile>,
    /// Rows of the dataset that the objects cover, error rows included.
    pub rows: u64,
    /// How many of the rows ended in an error row.
    pub errors: u64,
    /// Total size of the objects.
    pub bytes: u64,
}

/// One object of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its name, relative to the storage root.
    pub key: String,
    /// Whether it holds results, error rows, or the tombstone of a split slot.
    pub kind: SlotKind,
    /// Rows of the dataset it covers; 0 for a tombstone.
    pub rows: u64,
    /// How many of them ended in an error row.
    pub errors: u64,
    /// Length of the object.
    pub bytes: u64,
    /// Its BLAKE3 digest in hexadecimal digits. Empty in manifests of versions that wrote none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
}

impl Manifest {
    /// Lists the objects of a job. Every slot of the job must be filled or split, and verified.
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
                digest: job.digest(slot).unwrap_or_default().to_owned(),
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

    /// Returns the progress of a job with this manifest, which is complete.
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

#[cfg(test)]
mod tests {
    use whence_schemas::canonical;

    use super::*;
    use crate::job::tests::job;
    use crate::job::{Event, Fill};
    use crate::testing::{at, filled, slot, verify_all};

    /// Returns a job of two slots. The first is split: a worker filled one half, and the other half
    /// was given up.
    fn finished() -> Job {
        let mut job = job(&[3, 2]);
        let [first, second] = slot(0).split();
        let given_up = Event::Filled {
            slot: first,
            fill: Fill {
                kind: FillKind::Quarantine,
                rows: 1,
                errors: 1,
                bytes: 4,
            },
            tokens: 0,
        };
        for event in [
            Event::Split {
                slot: slot(0),
                bytes: 3,
            },
            given_up,
            filled(&second, 2),
            filled(&slot(1), 2),
        ] {
            job.apply(event, at(1));
        }
        job
    }

    #[test]
    fn a_manifest_lists_every_object_by_name_and_sums_them() {
        let job = finished();
        let table = job.table();
        let file = |slot, kind, rows, errors, bytes| {
            format!(
                r#"{{"bytes":{bytes},"errors":{errors},"key":"{table}/part-{slot}.parquet","kind":"{kind}","rows":{rows}}}"#
            )
        };
        // The names are sorted as the store lists them, where `-` comes before `.`.
        let files = [
            file("p000000-0", "quarantine", 1, 1, 4),
            file("p000000-1", "full", 2, 0, 10),
            file("p000000", "tombstone", 0, 0, 3),
            file("p000001", "full", 2, 0, 10),
        ];
        let expected = format!(
            r#"{{"bytes":27,"errors":1,"files":[{}],"job":"{}","layout_version":1,"rows":5}}"#,
            files.join(","),
            job.id()
        );
        let manifest = Manifest::of(&job);
        // Also the form in which earlier releases wrote it, so it must stay readable.
        assert_eq!(canonical::to_string(&manifest).unwrap(), expected);
        let read: Manifest = serde_json::from_str(&expected).unwrap();
        assert_eq!(read, manifest);
        let mut job = job;
        verify_all(&mut job, at(2));
        let digests = Manifest::of(&job).files.into_iter().map(|file| file.digest);
        let expected = ["p000000-0", "p000000-1", "p000000", "p000001"];
        let expected = expected.map(|slot| format!("digest of {slot}"));
        assert_eq!(digests.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_sealed_job_counts_what_the_running_one_did() {
        let job = finished();
        let live = job.totals();
        let expected = Totals {
            // A manifest does not say how much work it was.
            tokens_done: 0,
            work: 0,
            work_done: 0,
            ..live
        };
        assert_eq!(Manifest::of(&job).totals(), expected);
        assert_eq!((expected.slots, expected.rows_failed), (3, 1));
    }
}
