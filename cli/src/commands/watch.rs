//! `whence watch`: shows a job's progress until it ends. Ctrl-C stops only the watch, not the job.

use whence_proto::v1::JobStatus;
use whence_schemas::JobId;

use super::ending::{ended_well, tell_table};
use super::status::describe;
use super::stop::stop_requested;
use crate::args::{ProgressMode, Watch};
use crate::progress::JobProgress;
use crate::remote::Jobs;
use crate::{Failure, output};

pub(super) async fn run(arguments: Watch) -> Result<(), Failure> {
    let mut jobs = Jobs::connect((&arguments.coordinator).into()).await?;
    let id = jobs.find(&arguments.job).await?;
    let (status, _) = follow(&mut jobs, &id, arguments.progress.mode()).await?;
    output::line(&describe(&status))?;
    ended_well(&status)?;
    tell_table(&status.root, &status);
    Ok(())
}

/// Shows a job's progress until it ends. Returns its final status, and a summary of what was done
/// during the watch.
pub(super) async fn follow(
    jobs: &mut Jobs,
    id: &JobId,
    mode: ProgressMode,
) -> Result<(JobStatus, Option<String>), Failure> {
    let mut progress = JobProgress::start(mode);
    let outcome = tokio::select! {
        status = jobs.follow(id, &mut progress) => status,
        _ = stop_requested() => {
            Err(Failure::interrupted(format!("stopped watching; job {id} is still running"))
                .hint(format!("whence watch {id}, or whence cancel {id}")))
        }
    };
    progress.finish();
    let status = outcome?;
    let summary = progress.summary(&status);
    Ok((status, summary))
}
