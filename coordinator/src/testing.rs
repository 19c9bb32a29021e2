//! What several tests of the coordinator need: a job, the objects of its slots, a store, and a
//! coordinator with a temporary root and a small dataset.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray, new_null_array,
};
use bytes::Bytes;
use tempfile::TempDir;
use whence_datasets::pin;
use whence_datasets::resolve::LocalSource;
use whence_schemas::job::{DatasetSource, Dtype, ModelSource, NUMERICS_VERSION};
use whence_schemas::store::LocalSlotStore;
use whence_schemas::{
    Attempt, AttributionSpec, DatasetLocation, DatasetOrigin, Epoch, Footer, FormatName, JobId,
    JobSpec, SlotId, SlotKind, WorkerClass, WorkerId, WorkerRequirements, output, slot_file,
};

use crate::assignment::{Assigned, AttemptAt, Registration};
use crate::config::Scope;
use crate::job::scheduler::Request;
use crate::job::{Done, Due, Event, FailureClass, Fill, FillKind, Job, Share, Timestamp};
use crate::{Config, Coordinator};

/// Returns a job without files, with a model of this name.
pub(crate) fn spec(model: &str) -> JobSpec {
    JobSpec {
        model: ModelSource {
            path: format!("models/{model}"),
            digest: model.to_owned(),
            base: None,
        },
        dataset: DatasetSource::new(
            DatasetLocation::of(DatasetOrigin::Files),
            FormatName::Json,
            "1".to_owned(),
            "text",
        ),
        attribution: AttributionSpec::of_method("saliency"),
        derived_from: None,
        context: None,
        dtype: Dtype::Float32,
        seed: 0,
        shard_tokens: 1,
        run_id: None,
        retry_of: None,
        workers: WorkerRequirements::default(),
        numerics_version: NUMERICS_VERSION,
    }
}

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp(Duration::from_secs(seconds))
}

pub(crate) fn slot(index: usize) -> SlotId {
    SlotId::of_shard(index)
}

pub(crate) fn worker(name: &str) -> WorkerId {
    name.parse().unwrap()
}

pub(crate) fn attempt(number: u128) -> Attempt {
    Attempt::of(ulid::Ulid(number))
}

pub(crate) fn request(name: &str, credits: usize) -> Request {
    Request {
        worker: worker(name),
        credits,
        loaded: Vec::new(),
        class: WorkerClass::default(),
    }
}

pub(crate) fn registration(name: &str) -> Registration {
    Registration {
        worker: worker(name),
        protocol_version: whence_proto::PROTOCOL_VERSION,
        numerics_version: NUMERICS_VERSION,
        class: WorkerClass::default(),
        in_flight: Vec::new(),
    }
}

/// Returns how far an attempt is that has done so many rows and tokens.
pub(crate) fn done(rows: u64, tokens: u64) -> Done {
    Done {
        rows,
        tokens,
        is_uploading: false,
    }
}

/// Returns the event that a worker's object with this many rows, none of them bad, was seen in a
/// slot.
pub(crate) fn filled(slot: &SlotId, rows: u64) -> Event {
    Event::Filled {
        slot: slot.clone(),
        fill: Fill {
            kind: FillKind::Full,
            rows,
            errors: 0,
            bytes: 10,
        },
        tokens: 7,
    }
}

/// Returns the event that the object in a slot was read and is whole.
pub(crate) fn verified(slot: &SlotId) -> Event {
    Event::Verified {
        slot: slot.clone(),
        digest: format!("digest of {slot}"),
    }
}

/// Tells a job that each object that it wants to have read is whole.
pub(crate) fn verify_all(job: &mut Job, now: Timestamp) {
    for due in job.due(Timestamp::default()) {
        if let Due::Verify(slot) = due {
            job.apply(verified(&slot), now);
        }
    }
}

/// Returns an object for a slot of the job `spec`, with this many rows and errors. Its rows have nothing
/// but numbers: from that of the shard on, as in jobs whose shards have one row each.
pub(crate) fn object(
    spec: &JobSpec,
    slot: &SlotId,
    kind: SlotKind,
    (examples, errors): (u64, u64),
) -> Bytes {
    let first = slot.shard_index() as i64;
    let batch = match kind {
        SlotKind::Tombstone => rows_of(first..first),
        _ => rows_of(first..first + examples as i64),
    };
    let footer = Footer {
        slot: slot.clone(),
        attempt: attempt(1),
        kind,
        examples,
        errors,
        worker: worker("a"),
        epoch: Epoch(1),
        spec_json: spec.canonical_json(),
        code_version: "1".to_owned(),
    };
    slot_file::encode(&batch, &footer).unwrap().into()
}

/// Returns a batch of the attribution table whose rows have these numbers and nothing else.
fn rows_of(ids: std::ops::Range<i64>) -> RecordBatch {
    let schema = output::schema(&[], &arrow::datatypes::Fields::empty());
    let count = (ids.end - ids.start) as usize;
    let column = |field: &arrow::datatypes::FieldRef| -> ArrayRef {
        match field.name().as_str() {
            output::EXAMPLE_ID => Arc::new(Int64Array::from_iter_values(ids.clone())),
            output::SAMPLE => Arc::new(Int32Array::from(vec![0; count])),
            output::STATUS => Arc::new(StringArray::from(vec![output::STATUS_OK; count])),
            output::TARGET_FORCED => Arc::new(BooleanArray::from(vec![false; count])),
            _ => new_null_array(field.data_type(), count),
        }
    };
    let columns = schema.fields().iter().map(column).collect();
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

/// Returns an empty store and the folder that holds it.
pub(crate) fn store() -> (LocalSlotStore, TempDir) {
    let root = tempfile::tempdir().unwrap();
    (LocalSlotStore::open(root.path()).unwrap(), root)
}

/// A coordinator with its storage root and a folder for its datasets.
pub(crate) struct Stage {
    pub(crate) coordinator: Arc<Coordinator>,
    pub(crate) root: TempDir,
    pub(crate) data: TempDir,
}

impl Stage {
    /// Starts a coordinator on an empty root.
    pub(crate) async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self {
            coordinator: start(&root).await,
            root,
            data: tempfile::tempdir().unwrap(),
        }
    }

    /// Starts a coordinator on the storage root at `url`.
    pub(crate) async fn at(url: &str) -> Self {
        Self {
            coordinator: Coordinator::start(Config::new(url)).await.unwrap(),
            root: tempfile::tempdir().unwrap(),
            data: tempfile::tempdir().unwrap(),
        }
    }

    /// Starts another coordinator on the same root.
    pub(crate) async fn restart(&mut self) {
        self.coordinator = start(&self.root).await;
    }

    /// Starts a coordinator that serves the job `id` of the same root on its own, with a share of it.
    pub(crate) async fn beside(&self, id: &JobId, share: Share) -> Arc<Coordinator> {
        let config = Config {
            scope: Scope::Submitted,
            share: Some(share),
            ..Config::new(self.root.path().display().to_string())
        };
        let coordinator = Coordinator::start(config).await.unwrap();
        coordinator.jobs().resume(id).await.unwrap();
        coordinator
    }

    /// Returns the specification of a job with `num_rows` rows, each of them its own shard.
    pub(crate) fn job(&self, num_rows: usize) -> JobSpec {
        let rows: Vec<_> = (0..num_rows).map(|row| format!("row {row}")).collect();
        self.job_of_texts(&rows)
    }

    /// Returns the specification of a job with one row for each of these texts, each of them its
    /// own shard.
    pub(crate) fn job_of_texts(&self, texts: &[String]) -> JobSpec {
        let file = self.data.path().join(format!("{}.jsonl", texts.len()));
        let row = |text: &String| format!(r#"{{"text": "{text}"}}"#);
        let rows: Vec<_> = texts.iter().map(row).collect();
        std::fs::write(&file, rows.join("\n")).unwrap();
        let mut spec = spec("m");
        let location = &mut spec.dataset.location;
        location.data_files = vec![file.to_str().unwrap().to_owned()];
        spec.dataset.digest = pin(location, "train", &LocalSource).unwrap().digest();
        spec
    }

    /// Leases up to `credits` slots to the worker `name`.
    pub(crate) async fn acquire(&self, name: &str, credits: usize) -> Vec<Assigned> {
        let asked = request(name, credits);
        let acquired = self.coordinator.dispatch().acquire(&asked, Duration::ZERO);
        acquired.await.unwrap().assigned
    }

    /// Reports that an attempt of the worker `a` failed.
    pub(crate) async fn fail(&self, at: &AttemptAt, class: FailureClass) {
        let (dispatch, worker) = (self.coordinator.dispatch(), worker("a"));
        let failed = dispatch.fail(at, &worker, class, "it broke".to_owned());
        failed.await.unwrap();
    }

    /// Fills a leased slot as its worker would, with [`object`].
    pub(crate) async fn fill(&self, assigned: &Assigned) {
        let at = &assigned.at;
        let spec = self.coordinator.jobs().spec(&at.job).unwrap();
        let bytes = object(&spec, &at.slot, SlotKind::Full, (assigned.rows, 0));
        let store = &self.coordinator.core.store;
        store.create(&assigned.slot_key, bytes).await.unwrap();
    }
}

async fn start(root: &TempDir) -> Arc<Coordinator> {
    let config = Config::new(root.path().display().to_string());
    Coordinator::start(config).await.unwrap()
}
