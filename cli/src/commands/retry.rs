//! `whence retry`: computes the failed rows of a complete job again, as another job.

use super::ending::{ended_well, tell_failed_rows, tell_table};
use super::running::{Ended, Machine, New, Submitted, computed, followed};
use crate::Failure;
use crate::args::Retry;
use crate::job;
use crate::output::{self, counted};
use crate::remote::{Address, Jobs};
use crate::results::Results;

pub(super) async fn run(arguments: Retry) -> Result<(), Failure> {
    let ended = match &arguments.cluster {
        Some(url) => {
            let access = &arguments.access;
            on_cluster(Address { url, access }, &arguments).await?
        }
        None => here(&arguments).await?,
    };
    let status = &ended.status;
    ended_well(status)?;
    tell_failed_rows(status, &ended.results().await?).await?;
    output::line(&status.job_id)?;
    tell_table(&ended.shown_root, status);
    if status.rows_failed == 0 {
        return Ok(());
    }
    let failed = counted(status.rows_failed, "row");
    Err(Failure::run(format!("{failed} failed again")))
}

async fn on_cluster(to: Address<'_>, arguments: &Retry) -> Result<Ended, Failure> {
    let mut jobs = Jobs::connect(to).await?;
    let of = jobs.find(&arguments.job).await?;
    let (id, existed) = jobs.retry(&of).await?;
    let submitted = Submitted { jobs, id, existed };
    followed(submitted, arguments.progress).await
}

async fn here(arguments: &Retry) -> Result<Ended, Failure> {
    let root = &arguments.storage.root;
    let job = Results::open(root, &arguments.job).await?;
    let machine = Machine {
        root,
        workers: 1,
        config: job::worker_config(&arguments.batch, 1)?,
        progress: arguments.progress,
    };
    computed(New::RetryOf(job.id().clone()), &machine).await
}
