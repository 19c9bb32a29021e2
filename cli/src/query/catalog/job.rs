//! One job: its specification, its state, and where its failures are recorded.

use whence_coordinator::durable::manifest::Manifest;
use whence_coordinator::durable::recover::Submitted;
use whence_schemas::store::SlotStore;
use whence_schemas::{JobId, JobSpec, Plan, layout};

use crate::Failure;
use crate::results::get;

/// Objects read concurrently, so that round trips to a bucket overlap.
pub(super) const READS_AT_ONCE: usize = 16;

/// A job and what is known about it.
#[derive(Debug)]
pub(super) struct CatalogJob {
    pub(super) id: JobId,
    pub(super) spec: JobSpec,
    pub(super) submitted_ms: Option<u64>,
    /// `None` if only its table files are known.
    pub(super) rows: Option<u64>,
    pub(super) state: &'static str,
    pub(super) sealed: Option<Manifest>,
    /// Keys of the records of its failed attempts, and of its own failure.
    pub(super) failures: Vec<String>,
}

impl CatalogJob {
    /// Reads one job, which has the objects `keys`; `None` if it has no specification, because it was
    /// never completely submitted.
    pub(super) async fn read(
        store: &dyn SlotStore,
        id: JobId,
        keys: Vec<String>,
    ) -> Result<Option<Self>, Failure> {
        let Some(spec) = get::<JobSpec>(store, &layout::spec(&id)).await? else {
            return Ok(None);
        };
        let sealed: Option<Manifest> = get(store, &layout::sealed(&id)).await?;
        let submitted: Option<Submitted> = get(store, &layout::submitted(&id)).await?;
        let rows = match &sealed {
            Some(manifest) => Some(manifest.rows),
            None => get::<Plan>(store, &layout::plan(&id))
                .await?
                .map(|plan| plan.num_rows()),
        };
        let state = if sealed.is_some() {
            "sealed"
        } else if keys.contains(&layout::cancel(&id)) {
            "cancelled"
        } else if keys.contains(&layout::failed(&id)) {
            "failed"
        } else if rows.is_none() {
            "unknown"
        } else {
            // Whether anybody computes it at this moment, the store does not say.
            "open"
        };
        let folder = format!("{}/", layout::failures(&id));
        let own = layout::failed(&id);
        let mut failures = keys;
        failures.retain(|key| key.starts_with(&folder) || *key == own);
        Ok(Some(Self {
            spec,
            submitted_ms: submitted.map(|submitted| submitted.at_ms),
            rows,
            state,
            sealed,
            failures,
            id,
        }))
    }
}
