//! The jobs in a storage root: builds the SQL table `jobs` and the schema of the slots.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMillisecondArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use arrow::error::ArrowError;
use futures::{StreamExt, TryStreamExt, stream};
use whence_coordinator::durable::manifest::Manifest;
use whence_coordinator::durable::recover::Submitted;
use whence_schemas::store::SlotStore;
use whence_schemas::{JobId, JobSpec, Plan, canonical, input, layout, output};

use crate::Failure;
use crate::results::{get, jobs, open_root};

/// Jobs read concurrently, so that round trips to a bucket overlap.
const READS_AT_ONCE: usize = 16;

/// All jobs in a storage root.
#[derive(Debug)]
pub(crate) struct Catalog {
    jobs: Vec<CatalogJob>,
}

#[derive(Debug)]
struct CatalogJob {
    id: JobId,
    spec: JobSpec,
    submitted_ms: Option<u64>,
    rows: u64,
    state: &'static str,
    sealed: Option<Manifest>,
}

impl Catalog {
    /// Reads all jobs in the storage root at `root`. Fails if it is not a storage root.
    pub(crate) async fn read(root: &str) -> Result<Self, Failure> {
        let store = open_root(root).await?;
        let ids = jobs(store.as_ref()).await?;
        let reads = ids
            .into_iter()
            .map(|id| CatalogJob::read(store.as_ref(), id));
        let found: Vec<Option<CatalogJob>> = stream::iter(reads)
            .buffered(READS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(Self {
            jobs: found.into_iter().flatten().collect(),
        })
    }

    /// Returns a schema that fits the slots of every job: the union of their columns, all nullable.
    pub(crate) fn schema(&self) -> Result<Schema, Failure> {
        let of_job = |job: &CatalogJob| {
            let columns = input::text_columns(&job.spec.dataset.columns);
            output::schema(&job.spec.attribution.step_score_labels(), &columns)
        };
        let base = output::schema(&[], &Fields::empty());
        let schemas = std::iter::once(base).chain(self.jobs.iter().map(of_job));
        let merged = Schema::try_merge(schemas).map_err(|error| {
            Failure::run(format!("the jobs' tables do not fit together: {error}"))
        })?;
        let fields = merged.fields().iter().map(|field| nullable(field));
        Ok(Schema::new(fields.collect::<Fields>()))
    }

    /// Returns the table `jobs`.
    ///
    /// Columns that depend on the slots' contents (`errors`, `bytes`) are null until a job is
    /// sealed. Computing them earlier would mean reading every slot before any query could run.
    pub(crate) fn jobs(&self) -> Result<RecordBatch, Failure> {
        let texts = |of: &dyn Fn(&CatalogJob) -> Option<String>| -> ArrayRef {
            Arc::new(StringArray::from_iter(self.jobs.iter().map(of)))
        };
        let counts = |of: fn(&Manifest) -> u64| -> ArrayRef {
            let counts = self.jobs.iter().map(|job| job.sealed.as_ref().map(of));
            Arc::new(UInt64Array::from_iter(counts))
        };
        let numbers = |of: fn(&CatalogJob) -> u64| -> ArrayRef {
            Arc::new(UInt64Array::from_iter_values(self.jobs.iter().map(of)))
        };
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("job", texts(&|job| Some(job.id.to_string()))),
            ("state", texts(&|job| Some(job.state.to_owned()))),
            ("submitted_at", self.submitted()),
            ("model", texts(&|job| partition(job, "model"))),
            ("method", texts(&|job| partition(job, "method"))),
            ("dataset", texts(&|job| partition(job, "dataset"))),
            (
                "attributed_fn",
                texts(&|job| Some(job.spec.attribution.attributed_fn.name.clone())),
            ),
            ("rows", numbers(|job| job.rows)),
            ("errors", counts(|manifest| manifest.errors)),
            ("bytes", counts(|manifest| manifest.bytes)),
            ("seed", numbers(|job| job.spec.seed)),
            ("run_id", texts(&|job| job.spec.run_id.clone())),
            (
                "specification",
                texts(&|job| canonical::to_string(&job.spec).ok()),
            ),
        ];
        let built: Result<RecordBatch, ArrowError> = RecordBatch::try_from_iter(columns);
        built.map_err(|error| Failure::run(format!("build the table of jobs: {error}")))
    }

    fn submitted(&self) -> ArrayRef {
        let times = self.jobs.iter().map(|job| job.submitted_ms);
        let times = times.map(|time| time.map(|ms| ms as i64));
        let times = TimestampMillisecondArray::from_iter(times);
        Arc::new(times.with_timezone("UTC"))
    }
}

impl CatalogJob {
    /// Reads one job; `None` if it has no specification, because it was never completely submitted.
    async fn read(store: &dyn SlotStore, id: JobId) -> Result<Option<Self>, Failure> {
        let Some(spec) = get::<JobSpec>(store, &layout::spec(&id)).await? else {
            return Ok(None);
        };
        let sealed: Option<Manifest> = get(store, &layout::sealed(&id)).await?;
        let submitted: Option<Submitted> = get(store, &layout::submitted(&id)).await?;
        let rows = match &sealed {
            Some(manifest) => manifest.rows,
            None => get::<Plan>(store, &layout::plan(&id))
                .await?
                .map_or(0, |plan| plan.num_rows()),
        };
        let state = if sealed.is_some() {
            "sealed"
        } else if store.head(&layout::cancel(&id)).await?.is_some() {
            "cancelled"
        } else if store.head(&layout::failed(&id)).await?.is_some() {
            "failed"
        } else {
            "running"
        };
        Ok(Some(Self {
            spec,
            submitted_ms: submitted.map(|submitted| submitted.at_ms),
            rows,
            state,
            sealed,
            id,
        }))
    }
}

/// Returns `field` made nullable, along with every field of the structs in it, because the slots of
/// another job may not have it.
fn nullable(field: &Field) -> Field {
    let of = |fields: &Fields| {
        fields
            .iter()
            .map(|field| nullable(field))
            .collect::<Fields>()
    };
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(of(fields)),
        DataType::List(element) => match element.data_type() {
            DataType::Struct(fields) => {
                let structs = DataType::Struct(of(fields));
                DataType::List(Arc::new(element.as_ref().clone().with_data_type(structs)))
            }
            _ => field.data_type().clone(),
        },
        other => other.clone(),
    };
    field.clone().with_data_type(data_type).with_nullable(true)
}

/// Returns the value of the partition `key` in the path of the job's table. It is taken from the
/// path so that it equals the slots' partition column and the two tables can be joined.
fn partition(job: &CatalogJob, key: &str) -> Option<String> {
    let table = layout::table(&job.spec);
    let parts = table.split('/');
    let mut values = parts.filter_map(|part| part.strip_prefix(key)?.strip_prefix('='));
    values.next().map(str::to_owned)
}
