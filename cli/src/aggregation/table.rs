//! Writes aggregated examples as the table of a job of its own.
//!
//! The table has the slots of its inputs. Each is created once, like those of any job, so that a
//! run that was stopped resumes at the first slot that is missing. The specification is written
//! last: until then nobody sees a job, and no coordinator can take it for one to compute.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::StructArray;
use bytes::Bytes;
use serde::Serialize;
use whence_coordinator::durable::manifest::{Manifest, ManifestFile};
use whence_coordinator::durable::recover::Submitted;
use whence_coordinator::durable::root;
use whence_schemas::slot_file::{self, Verified};
use whence_schemas::store::{self, SlotStore};
use whence_schemas::{
    DataFile, Epoch, Footer, JobId, JobSpec, Plan, PlannedShard, SlotId, SlotKind, canonical,
    layout, plan::Cursor,
};
use whence_worker::table::{self, TableRow};

use super::request::Request;
use crate::Failure;
use crate::results::Source;

/// Examples of a file in one slot: enough that a slot is worth an object.
const EXAMPLES_OF_SLOT: u64 = 256;
/// Who fills slots with the examples of a file.
const WORKER: &str = "aggregate";
/// The attempt that such slots name.
const FILE_ATTEMPT: &str = "00000000000000000000000000";

/// How the slots and rows of an input are numbered in the result, behind those of earlier inputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SlotPlan {
    shards: usize,
    rows: u64,
    files: usize,
}

impl SlotPlan {
    /// Returns the name in the result of an input's slot.
    pub(crate) fn slot(self, slot: &SlotId) -> SlotId {
        let mut renamed = SlotId::of_shard(slot.shard_index() + self.shards);
        for second_half in slot.halves() {
            renamed = renamed.split()[usize::from(second_half)].clone();
        }
        renamed
    }

    /// Returns the number in the result of an input's example.
    pub(crate) fn example(self, example: i64) -> i64 {
        example + self.rows as i64
    }
}

/// Returns how each of the request's inputs is numbered, and the plan of the result.
pub(crate) fn planned(request: &Request) -> (Vec<SlotPlan>, Plan) {
    let mut all = Plan {
        files: Vec::new(),
        shards: Vec::new(),
    };
    let mut numbered = Vec::new();
    for source in &request.inputs {
        let at = SlotPlan {
            shards: all.shards.len(),
            rows: all.num_rows(),
            files: all.files.len(),
        };
        let Plan { files, shards } = match source {
            Source::Job(results) => results.plan().clone(),
            Source::File(file) => plan_of_file(
                file.path(),
                file.outline().sequences as u64,
                (file.outline().bytes, &file.outline().digest),
            ),
        };
        all.files.extend(files);
        all.shards
            .extend(shards.into_iter().map(|shard| PlannedShard {
                rows: shard.rows.start + at.rows..shard.rows.end + at.rows,
                cursor: Cursor {
                    file: shard.cursor.file + at.files,
                    ..shard.cursor
                },
                ..shard
            }));
        numbered.push(at);
    }
    (numbered, all)
}

/// Cuts the examples of a file into slots.
fn plan_of_file(path: &Path, examples: u64, (bytes, digest): (u64, &str)) -> Plan {
    let shard = |(_, rows): (SlotId, Range<u64>)| PlannedShard {
        cursor: Cursor {
            file: 0,
            offset: rows.start,
        },
        // Nothing is computed; one unit per example lets progress be shown.
        estimated_tokens: rows.end - rows.start,
        digest: digest.to_owned(),
        rows,
    };
    Plan {
        files: vec![DataFile {
            split: "train".to_owned(),
            path: path.display().to_string(),
            member: None,
            bytes,
            digest: digest.to_owned(),
        }],
        shards: slots_of_file(examples).map(shard).collect(),
    }
}

/// Returns the rows of each slot of a file with `examples` examples.
pub(crate) fn slots_of_file(examples: u64) -> impl Iterator<Item = (SlotId, Range<u64>)> {
    (0..examples.div_ceil(EXAMPLES_OF_SLOT)).map(move |index| {
        let rows = index * EXAMPLES_OF_SLOT..examples.min((index + 1) * EXAMPLES_OF_SLOT);
        (SlotId::of_shard(index as usize), rows)
    })
}

/// Returns the footer of a slot that no worker filled before.
pub(crate) fn footer_of_file(slot: &SlotId) -> Footer {
    Footer {
        slot: slot.clone(),
        // Always the same, so that the same aggregation makes the same bytes.
        attempt: FILE_ATTEMPT.parse().expect("it is a ULID"),
        kind: SlotKind::Full,
        examples: 0,
        errors: 0,
        worker: WORKER.parse().expect("the name is an id"),
        epoch: Epoch(0),
        spec_json: String::new(),
        code_version: String::new(),
    }
}

/// A table that is being written.
#[derive(Debug)]
pub(crate) struct DerivedTable {
    store: Arc<dyn SlotStore>,
    spec: JobSpec,
    id: JobId,
    folder: String,
    files: Vec<ManifestFile>,
}

impl DerivedTable {
    /// Begins the table of the job `spec` in the storage root at `url`, which is created if it does
    /// not exist.
    pub(crate) async fn begin(url: &str, spec: JobSpec, plan: &Plan) -> Result<Self, Failure> {
        let store = store::open(url)?;
        root::check(store.as_ref()).await?;
        let table = Self {
            id: spec.id(),
            folder: layout::table(&spec),
            store,
            spec,
            files: Vec::new(),
        };
        table.create(&layout::plan(&table.id), plan).await?;
        Ok(table)
    }

    /// Returns the job's id.
    pub(crate) fn id(&self) -> &JobId {
        &self.id
    }

    /// Returns the table's folder below the root.
    pub(crate) fn folder(&self) -> &str {
        &self.folder
    }

    /// Returns whether the job is complete.
    pub(crate) async fn is_complete(&self) -> Result<bool, Failure> {
        let spec = self.store.head(&layout::spec(&self.id)).await?;
        Ok(spec.is_some())
    }

    /// Returns the rows and errors of `slot` if an earlier run filled it.
    pub(crate) async fn filled(&mut self, slot: &SlotId) -> Result<Option<(u64, u64)>, Failure> {
        let key = layout::slot(&self.folder, slot);
        let Some(bytes) = self.store.get(&key).await? else {
            return Ok(None);
        };
        let length = bytes.len() as u64;
        let file = slot_file::verify(bytes).map_err(|error| {
            Failure::run(format!("the table file `{key}` is damaged: {error}"))
                .hint("delete it and run the same command again")
        })?;
        let counts = (file.footer.examples, file.footer.errors);
        self.list(&file, key, length);
        Ok(Some(counts))
    }

    /// Fills the slot of `footer` with `rows`, which are those of the input's slot.
    pub(crate) async fn fill(
        &mut self,
        footer: &Footer,
        rows: &[TableRow],
        columns: Option<&StructArray>,
    ) -> Result<(), Failure> {
        let labels = self.spec.attribution.step_score_labels();
        let damaged = |error: &dyn std::fmt::Display| Failure::run(format!("encode rows: {error}"));
        let batch = table::encode(rows, &labels, columns).map_err(|error| damaged(&error))?;
        let footer = Footer {
            spec_json: self.spec.canonical_json(),
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
            ..footer.clone()
        };
        let encoded = match footer.kind {
            SlotKind::Full => slot_file::encode(&batch, &footer),
            SlotKind::Tombstone | SlotKind::Quarantine => {
                slot_file::encode_without_scores(&batch, &footer)
            }
        };
        let bytes = encoded.map_err(|error| damaged(&error))?;
        let key = layout::slot(&self.folder, &footer.slot);
        let length = bytes.len() as u64;
        let bytes = Bytes::from(bytes);
        let file = slot_file::verify(bytes.clone()).map_err(|error| damaged(&error))?;
        // Whoever else fills the slot does so with the same rows.
        self.store.create(&key, bytes).await?;
        self.list(&file, key, length);
        Ok(())
    }

    fn list(&mut self, file: &Verified, key: String, bytes: u64) {
        self.files.push(ManifestFile {
            key,
            kind: file.footer.kind,
            rows: file.footer.examples,
            errors: file.footer.errors,
            bytes,
            digest: file.digest.clone(),
        });
    }

    /// Completes the job. Returns the numbers of its rows and of those with an error.
    pub(crate) async fn seal(mut self) -> Result<(u64, u64), Failure> {
        self.files.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let sum = |of: fn(&ManifestFile) -> u64| self.files.iter().map(of).sum();
        let manifest = Manifest {
            job: self.id.clone(),
            layout_version: layout::LAYOUT_VERSION,
            rows: sum(|file| file.rows),
            errors: sum(|file| file.errors),
            bytes: sum(|file| file.bytes),
            files: self.files.clone(),
        };
        self.create(&layout::sealed(&self.id), &manifest).await?;
        self.create(&layout::submitted(&self.id), &Submitted::now_by(None))
            .await?;
        self.create(&layout::spec(&self.id), &self.spec).await?;
        Ok((manifest.rows, manifest.errors))
    }

    async fn create<T: Serialize + Sync>(&self, key: &str, value: &T) -> Result<(), Failure> {
        let text = canonical::to_string(value)
            .map_err(|error| Failure::run(format!("write `{key}`: {error}")))?;
        self.store.create(key, text.into()).await?;
        Ok(())
    }
}
