//! `whence watch`: a job's progress until it ends. Stopping to watch does not stop the job.

use whence_proto::v1::JobStatus;
use whence_schemas::JobId;

use super::ending::ended_well;
use super::status::describe;
use super::stop::stop_requested;
use crate::args::Watch;
use crate::progress::JobProgress;
use crate::remote::Jobs;
use crate::{Failure, output};

pub(super) async fn run(arguments: Watch) -> Result<(), Failure> {
    let mut jobs = Jobs::connect(&arguments.coordinator.coordinator).await?;
    let id = jobs.find(&arguments.job).await?;
    let status = follow(&mut jobs, &id, arguments.quiet).await?;
    output::line(&describe(&status))?;
    ended_well(&status)
}

/// Shows a job's progress until it ends.
pub(super) async fn follow(jobs: &mut Jobs, id: &JobId, quiet: bool) -> Result<JobStatus, Failure> {
    let mut progress = JobProgress::start(quiet);
    let outcome = tokio::select! {
        status = jobs.follow(id, &mut progress) => status,
        () = stop_requested() => {
            Err(Failure::interrupted(format!("job {id} goes on"))
                .hint(format!("whence watch {id}, or whence cancel {id}")))
        }
    };
    progress.finish();
    outcome
}
