//! What several tests of the worker need: a job, leases and rows of it, and a store in memory whose
//! writes fail when a test says so.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Fields;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use whence_proto::v1::{self, AttemptRef};
use whence_schemas::job::{DatasetSource, Dtype, ModelSource, NUMERICS_VERSION};
use whence_schemas::store::{Created, Listed, SlotStore, StoreError};
use whence_schemas::{
    Attempt, AttributionSpec, DatasetLocation, DatasetOrigin, FormatName, JobSpec, SlotId,
    WorkerRequirements, input, layout,
};

use crate::input::InputRow;

/// Returns a job whose model does not exist, for tests that compute nothing.
pub(crate) fn spec() -> JobSpec {
    JobSpec {
        model: ModelSource {
            path: "models/m".to_owned(),
            digest: "1".to_owned(),
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
        shard_tokens: 100,
        run_id: None,
        retry_of: None,
        workers: WorkerRequirements::default(),
        numerics_version: NUMERICS_VERSION,
    }
}

/// Returns the folder of one of the small models that come with the source.
pub(crate) fn model_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/models")
        .join(name)
}

/// Returns the model in `folder` as a job names it.
pub(crate) fn model(folder: &Path) -> ModelSource {
    ModelSource {
        path: folder.display().to_string(),
        digest: whence_engine::digest(folder).unwrap(),
        base: None,
    }
}

/// Returns a lease of the shard at `index` of the job `spec`, as a coordinator sends it.
pub(crate) fn sent_of(spec: &JobSpec, index: usize, rows: u64) -> v1::Lease {
    let slot = SlotId::of_shard(index);
    v1::Lease {
        attempt: Some(AttemptRef {
            job_id: spec.id().to_string(),
            slot: slot.to_string(),
            attempt: Attempt::of(ulid::Ulid(index as u128)).to_string(),
        }),
        epoch: 3,
        ttl: Duration::from_secs(30).try_into().ok(),
        slot_key: layout::slot(&layout::table(spec), &slot),
        spec_json: spec.canonical_json(),
        rows,
        traceparent: String::new(),
        larger_worker: false,
    }
}

/// Returns a lease of four rows of [`spec`].
pub(crate) fn sent(index: usize) -> v1::Lease {
    sent_of(&spec(), index, 4)
}

/// Returns a row with this input text, whose target is generated.
pub(crate) fn row(example_id: i64, text: &str) -> InputRow {
    InputRow {
        example_id,
        input_text: Some(text.to_owned()),
        is_messages: false,
        generated_text: None,
        contrast_source: None,
        contrast_target: None,
        input_context: None,
        output_context: None,
        row_error: None,
    }
}

/// Returns the rows as the batch that a coordinator sends, with the column `columns` if it is given.
pub(crate) fn batch(rows: &[InputRow], columns: Option<ArrayRef>) -> RecordBatch {
    let text = |field: fn(&InputRow) -> Option<&String>| -> ArrayRef {
        Arc::new(rows.iter().map(field).collect::<StringArray>())
    };
    let ids = Int64Array::from_iter_values(rows.iter().map(|row| row.example_id));
    let are_messages: BooleanArray = rows.iter().map(|row| Some(row.is_messages)).collect();
    let mut arrays: Vec<ArrayRef> = vec![
        Arc::new(ids),
        text(|row| row.input_text.as_ref()),
        Arc::new(are_messages),
        text(|row| row.generated_text.as_ref()),
        text(|row| row.contrast_source.as_ref()),
        text(|row| row.contrast_target.as_ref()),
        text(|row| row.input_context.as_ref()),
        text(|row| row.output_context.as_ref()),
        text(|row| row.row_error.as_ref()),
    ];
    let mut carried = Fields::empty();
    if let Some(columns) = columns {
        let arrow::datatypes::DataType::Struct(fields) = columns.data_type() else {
            panic!("the columns are a struct");
        };
        carried = fields.clone();
        arrays.push(columns);
    }
    RecordBatch::try_new(Arc::new(input::schema(&carried)), arrays).unwrap()
}

/// Returns batches of one schema as one Arrow IPC stream.
pub(crate) fn stream(batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.into_inner().unwrap()
}

/// What goes wrong when an object is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The call fails and writes nothing.
    Unwritten,
    /// The object is written, but the call fails.
    Unacknowledged,
    /// The store says that the object exists, but somebody has just removed it.
    Removed,
}

/// A store in memory. Each call of [`SlotStore::create`] takes the next of the faults; calls
/// without a fault, and those after the last one, succeed.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    objects: Mutex<BTreeMap<String, Bytes>>,
    faults: Mutex<VecDeque<Option<Fault>>>,
}

impl MemoryStore {
    pub(crate) fn with_faults(faults: impl IntoIterator<Item = Option<Fault>>) -> Self {
        Self {
            faults: Mutex::new(faults.into_iter().collect()),
            ..Self::default()
        }
    }

    /// Returns all objects by name.
    pub(crate) fn objects(&self) -> BTreeMap<String, Bytes> {
        self.objects.lock().unwrap().clone()
    }

    fn fail<T>(&self, key: &str) -> Result<T, StoreError> {
        Err(StoreError::Unavailable {
            url: self.url().to_owned(),
            action: "create",
            key: key.to_owned(),
            source: "503".into(),
        })
    }
}

#[tonic::async_trait]
impl SlotStore for MemoryStore {
    async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, StoreError> {
        let fault = self.faults.lock().unwrap().pop_front().flatten();
        match fault {
            Some(Fault::Unwritten) => return self.fail(key),
            Some(Fault::Removed) => return Ok(Created::Already),
            Some(Fault::Unacknowledged) | None => {}
        }
        let mut objects = self.objects.lock().unwrap();
        let created = if objects.contains_key(key) {
            Created::Already
        } else {
            objects.insert(key.to_owned(), bytes);
            Created::Now
        };
        match fault {
            None => Ok(created),
            Some(_) => self.fail(key),
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        Ok(self.objects().get(key).cloned())
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        Ok(self.objects()[key].slice(range.start as usize..range.end as usize))
    }

    async fn head(&self, key: &str) -> Result<Option<Listed>, StoreError> {
        let objects = self.objects();
        Ok(objects.get(key).map(|bytes| Listed {
            key: key.to_owned(),
            bytes: bytes.len() as u64,
        }))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        let listed = self.objects().into_iter().map(|(key, bytes)| Listed {
            key,
            bytes: bytes.len() as u64,
        });
        Ok(listed
            .filter(|object| object.key.starts_with(prefix))
            .collect())
    }

    fn url(&self) -> &'static str {
        "memory://root"
    }
}
