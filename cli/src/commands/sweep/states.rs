//! How far jobs are, as a coordinator or the objects of a storage root tell.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use whence_coordinator::durable::manifest::Manifest;
use whence_coordinator::durable::recover::Failed;
use whence_coordinator::durable::root::is_root;
use whence_proto::v1::{JobState, JobStatus};
use whence_schemas::store::{self, SlotStore, read_footer};
use whence_schemas::{JobId, JobSpec, Plan, layout};

use crate::Failure;
use crate::remote::{Address, Jobs};
use crate::results::get;

/// Footers read at the same time.
const READS_AT_ONCE: usize = 16;

/// The status of each job that was submitted.
pub(in crate::commands) type States = HashMap<JobId, JobStatus>;

/// Asks the coordinator of `cluster`, or looks into the storage root at `root` without one.
pub(super) async fn of_jobs(
    cluster: Option<Address<'_>>,
    root: &str,
    jobs: impl Iterator<Item = &JobSpec>,
) -> Result<States, Failure> {
    match cluster {
        Some(address) => of_coordinator(&mut Jobs::connect(address).await?).await,
        None => of_root(root, jobs).await,
    }
}

/// Asks a coordinator.
pub(super) async fn of_coordinator(jobs: &mut Jobs) -> Result<States, Failure> {
    let listed = jobs.list_patiently().await?;
    let with_id = listed
        .into_iter()
        .filter_map(|status| Some((status.job_id.parse().ok()?, status)));
    Ok(with_id.collect())
}

/// Looks into the storage root at `root`, where no job was submitted if it is not there yet. Looks for
/// the jobs that computed failed rows again, too.
async fn of_root(root: &str, jobs: impl Iterator<Item = &JobSpec>) -> Result<States, Failure> {
    let mut states = States::new();
    if store::local_root(root).is_some_and(|path| !path.exists()) {
        return Ok(states);
    }
    let store = store::open_to_read(root)?;
    // Perhaps another process makes it a root at this moment.
    if !is_root(store.as_ref()).await? {
        return Ok(states);
    }
    for job in jobs {
        let mut spec = job.clone();
        while let Some(status) = stored(store.as_ref(), &spec.id()).await? {
            let id = spec.id();
            states.insert(id.clone(), status);
            spec.retry_of = Some(id);
        }
    }
    Ok(states)
}

/// Reads what a storage root says about a job; `None` if it was not submitted there.
async fn stored(store: &dyn SlotStore, id: &JobId) -> Result<Option<JobStatus>, Failure> {
    let spec = get::<JobSpec>(store, &layout::spec(id)).await?;
    let plan = get::<Plan>(store, &layout::plan(id)).await?;
    let (Some(spec), Some(plan)) = (spec, plan) else {
        return Ok(None);
    };
    let mut status = JobStatus {
        job_id: id.to_string(),
        rows_total: plan.num_rows(),
        table: layout::table(&spec),
        ..JobStatus::default()
    };
    let manifest: Option<Manifest> = get(store, &layout::sealed(id)).await?;
    if let Some(manifest) = manifest {
        status.set_state(JobState::Sealed);
        (status.rows_done, status.rows_failed) = (manifest.rows, manifest.errors);
        return Ok(Some(status));
    }
    status.set_state(JobState::Running);
    if store.head(&layout::cancel(id)).await?.is_some() {
        status.set_state(JobState::Cancelled);
    } else if let Some(failed) = get::<Failed>(store, &layout::failed(id)).await? {
        status.set_state(JobState::Failed);
        status.message = failed.message;
    }
    let objects = store.list(&status.table).await?;
    let footers = stream::iter(&objects).map(|object| read_footer(store, object));
    let footers: Vec<_> = footers
        .buffer_unordered(READS_AT_ONCE)
        .try_collect()
        .await?;
    status.rows_done = footers.iter().map(|footer| footer.examples).sum();
    status.rows_failed = footers.iter().map(|footer| footer.errors).sum();
    Ok(Some(status))
}
