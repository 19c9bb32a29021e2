//! `whence work`: works on a share of a job, without a coordinator, until the job is complete.

use whence_coordinator::job::Share;
use whence_proto::v1::JobStatus;

use super::ending::{ended_well, tell_table};
use super::stop::stop_requested;
use crate::args::{ProgressMode, Work};
use crate::job_url::JobUrl;
use crate::output::{counted, grouped};
use crate::progress::JobProgress;
use crate::results::Results;
use crate::sharing::Sharing;
use crate::{Exit, Failure, job};

pub(super) async fn run(arguments: Work) -> Result<(), Failure> {
    let url = JobUrl::parse(&arguments.job)?;
    let (index, of) = (arguments.index, arguments.of);
    let share = Share::new(index, of).ok_or_else(|| {
        Failure::request(format!("there is no share {index} of {of}"))
            .hint("--index counts from 0, and must be less than --of")
    })?;
    // A root that is not there is refused, not made: it would have no such job.
    let results = Results::open(&url.root, url.id.as_str()).await?;
    job::check_workers(results.spec(), &arguments.worker)?;
    let mode = arguments.progress.mode();
    let mut sharing = Sharing::start(&url, share, &arguments.worker).await?;
    let mut progress = JobProgress::start(mode);
    let outcome = until_complete(&mut sharing, &url, &mut progress).await;
    progress.finish();
    tokio::select! {
        () = sharing.stop() => {}
        // A request to stop cuts the shutdown short: everything computed is saved already.
        _ = stop_requested() => {}
    }
    let status = outcome?;
    ended_well(&status)?;
    if mode != ProgressMode::None {
        eprintln!(
            "job {} is complete: {}, {} of them failed",
            url.id,
            counted(status.rows_total, "row"),
            grouped(status.rows_failed)
        );
        tell_table(&url.root, &status);
    }
    Ok(())
}

async fn until_complete(
    sharing: &mut Sharing,
    url: &JobUrl,
    progress: &mut JobProgress,
) -> Result<JobStatus, Failure> {
    let mut jobs = sharing.jobs();
    tokio::select! {
        status = jobs.follow(&url.id, progress) => status,
        failure = sharing.failed() => Err(failure),
        exit = stop_requested() => Err(stopped(sharing, url, exit).await),
    }
}

/// Drains the worker. A second request to stop skips that.
async fn stopped(sharing: &mut Sharing, url: &JobUrl, exit: Exit) -> Failure {
    tokio::select! {
        () = sharing.drain() => {}
        _ = stop_requested() => {}
    }
    Failure::stopped(exit, format!("job {} is not finished here", url.id))
        .hint("run the same command again, or leave the rest to the other processes")
}
