//! Reads the jobs that had ended before this coordinator started.
//!
//! A root that has been in use for long has thousands of them, and nobody waits for them: they are read
//! in the background, or when somebody asks for one. What is still to be done is served at once.

use whence_schemas::JobId;

use crate::Error;
use crate::core::Core;
use crate::durable::recover::{self, Objects};

/// Reads the job `id` if it is in the archive.
pub(crate) async fn read(core: &Core, id: &JobId) -> Result<(), Error> {
    take_over(core, core.archive.get(id)).await
}

/// Reads every job of the archive.
pub(crate) async fn read_all(core: &Core) -> Result<(), Error> {
    take_over(core, core.archive.all()).await
}

/// Moves jobs from the archive to the jobs that the coordinator knows. If two callers read the same job,
/// the first one's stays.
async fn take_over(core: &Core, objects: Objects) -> Result<(), Error> {
    if objects.is_empty() {
        return Ok(());
    }
    let ids: Vec<JobId> = objects.keys().cloned().collect();
    let (rules, now) = (core.config.rules(), core.clock.now());
    let jobs = recover::jobs(core.store.as_ref(), objects, rules, now).await?;
    core.state.change(|state| {
        for job in jobs {
            state.jobs.entry(job.id().clone()).or_insert(job);
        }
    });
    core.archive.remove(ids.iter());
    Ok(())
}
