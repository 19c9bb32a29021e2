//! The jobs in a storage root: what the objects that describe them say.
//!
//! `tables` makes the tables `jobs` and `runs` of it, `attempts` reads the records of what failed.

mod attempts;
mod job;
mod tables;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Fields, Schema};
use futures::{StreamExt, TryStreamExt, stream};
use whence_schemas::store::SlotStore;
use whence_schemas::{JobId, JobSpec, context_output, input, layout, output, table};

pub(crate) use attempts::Attempts;

use super::shape::Shape;
use crate::Failure;
use crate::results::open_root;
use job::{CatalogJob, READS_AT_ONCE};

/// All jobs in a storage root.
#[derive(Debug)]
pub(crate) struct Catalog {
    store: Arc<dyn SlotStore>,
    jobs: Vec<CatalogJob>,
}

impl Catalog {
    /// Reads all jobs in the storage root at `root`. Fails if it is not a storage root.
    pub(crate) async fn read(root: &str) -> Result<Self, Failure> {
        let store = open_root(root).await?;
        let mut objects: BTreeMap<JobId, Vec<String>> = BTreeMap::new();
        for object in store.list(layout::JOBS).await? {
            if let Some(Ok(id)) = object.key.split('/').nth(1).map(str::parse) {
                objects.entry(id).or_default().push(object.key);
            }
        }
        let reads = objects
            .into_iter()
            .map(|(id, keys)| CatalogJob::read(store.as_ref(), id, keys));
        let found: Vec<Option<CatalogJob>> = stream::iter(reads)
            .buffered(READS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(Self {
            jobs: found.into_iter().flatten().collect(),
            store,
        })
    }

    /// Returns which columns the tables have, those of all jobs together. All of them are nullable,
    /// because a job may lack them.
    pub(crate) fn shape(&self) -> Result<Shape, Failure> {
        let (contexts, attributions): (Vec<_>, Vec<_>) = self
            .jobs
            .iter()
            .map(|job| &job.spec)
            .partition(|spec| spec.context.is_some());
        let no_columns = Fields::empty();
        Ok(Shape::new(
            merged(output::schema(&[], &no_columns), &attributions)?,
            merged(context_output::schema(&no_columns), &contexts)?,
        ))
    }

    /// Returns the table `jobs`.
    pub(crate) fn jobs(&self) -> Result<RecordBatch, Failure> {
        tables::jobs(&self.jobs)
    }

    /// Returns the table `runs`.
    pub(crate) fn runs(&self) -> Result<RecordBatch, Failure> {
        tables::runs(&self.jobs)
    }

    /// Returns where the rows of the table `attempts` are. They are read when they are asked for.
    pub(crate) fn attempts(&self) -> Attempts {
        let of_job = |job: &CatalogJob| {
            let keys = job.failures.iter().cloned();
            keys.map(|key| (job.id.clone(), key)).collect::<Vec<_>>()
        };
        Attempts::new(
            Arc::clone(&self.store),
            self.jobs.iter().flat_map(of_job).collect(),
        )
    }
}

/// Returns the columns that the tables of `jobs`, which have at least those of `base`, have together.
fn merged(base: Schema, jobs: &[&JobSpec]) -> Result<Schema, Failure> {
    let of_job = |spec: &&JobSpec| {
        let columns = input::text_columns(&spec.dataset.columns);
        table::schema(spec, &columns)
    };
    let schemas = std::iter::once(base).chain(jobs.iter().map(of_job));
    let merged = Schema::try_merge(schemas)
        .map_err(|error| Failure::run(format!("the jobs' tables do not fit together: {error}")))?;
    let fields = merged.fields().iter().map(|field| nullable(field));
    Ok(Schema::new(fields.collect::<Fields>()))
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
