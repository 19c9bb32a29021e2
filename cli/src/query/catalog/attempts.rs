//! The table `attempts`: what failed on the way, read from one object per failure.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use futures::{StreamExt, TryStreamExt, stream};
use whence_coordinator::durable::recover::Failed;
use whence_coordinator::job;
use whence_schemas::store::SlotStore;
use whence_schemas::{JobId, layout};

use super::job::READS_AT_ONCE;
use crate::Failure;
use crate::results::get;

const COLUMNS: [&str; 7] = [
    "kind", "job", "slot", "attempt", "worker", "code", "message",
];

/// Where the records of failures are. There may be thousands, so they are read only for a query that
/// asks for them.
#[derive(Debug, Clone)]
pub(crate) struct Attempts {
    store: Arc<dyn SlotStore>,
    records: Vec<(JobId, String)>,
}

impl Attempts {
    pub(super) fn new(store: Arc<dyn SlotStore>, records: Vec<(JobId, String)>) -> Self {
        Self { store, records }
    }

    /// Returns the schema of the table.
    pub(crate) fn schema() -> SchemaRef {
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        Arc::new(Schema::new(
            COLUMNS.iter().map(|name| text(name)).collect::<Fields>(),
        ))
    }

    /// Reads all records.
    pub(crate) async fn read(&self) -> Result<RecordBatch, Failure> {
        let reads = self.records.clone().into_iter().map(|(job, key)| {
            let store = Arc::clone(&self.store);
            async move { row(store.as_ref(), &job, &key).await }
        });
        let rows: Vec<Option<[Option<String>; 7]>> = stream::iter(reads)
            .buffered(READS_AT_ONCE)
            .try_collect()
            .await?;
        let rows: Vec<_> = rows.into_iter().flatten().collect();
        let column = |index: usize| -> ArrayRef {
            let values = rows.iter().map(|row| row[index].as_deref());
            Arc::new(StringArray::from_iter(values))
        };
        let columns = (0..COLUMNS.len()).map(column).collect();
        RecordBatch::try_new(Self::schema(), columns)
            .map_err(|error| Failure::run(format!("build the table of attempts: {error}")))
    }
}

/// Reads one record; `None` if it is gone.
async fn row(
    store: &dyn SlotStore,
    job: &JobId,
    key: &str,
) -> Result<Option<[Option<String>; 7]>, Failure> {
    let id = Some(job.to_string());
    if key == layout::failed(job) {
        let failed: Option<Failed> = get(store, key).await?;
        let row = |failed: Failed| {
            let (kind, code) = (Some("job".to_owned()), Some("failed".to_owned()));
            [kind, id, None, None, None, code, Some(failed.message)]
        };
        return Ok(failed.map(row));
    }
    let failure: Option<job::Failure> = get(store, key).await?;
    let row = |failure: job::Failure| {
        [
            Some("attempt".to_owned()),
            id,
            Some(failure.slot.to_string()),
            Some(failure.attempt.to_string()),
            Some(failure.worker.to_string()),
            Some(failure.class.code().to_owned()),
            Some(failure.message),
        ]
    };
    Ok(failure.map(row))
}
