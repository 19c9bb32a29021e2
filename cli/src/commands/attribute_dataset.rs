//! `whence attribute-dataset`: a coordinator and its workers in this process, until the table stands.

use whence_proto::v1::{JobState, JobStatus};
use whence_schemas::{JobId, JobSpec};

use super::ending::{Ending, conclude};
use super::stop::stop_requested;
use crate::args::AttributeDataset;
use crate::local::Local;
use crate::output::{counted, grouped};
use crate::progress::JobProgress;
use crate::results::Results;
use crate::{Failure, job};

pub(super) async fn run(arguments: AttributeDataset) -> Result<(), Failure> {
    let attribution = job::attribution(&arguments.attribution)?;
    let spec = job::specification(
        &arguments.model,
        &arguments.dataset,
        attribution,
        &arguments.job,
    )?;
    let mut local = Local::start(&arguments.storage.root).await?;
    let mut progress = JobProgress::start(arguments.quiet);
    let outcome = work(&mut local, &arguments, &spec, &mut progress).await;
    let summary = outcome
        .as_ref()
        .ok()
        .and_then(|(status, _)| progress.summary(status));
    progress.finish();
    let root = local.root().to_owned();
    tokio::select! {
        () = local.stop() => {}
        // What is computed stands anyway.
        () = stop_requested() => {}
    }
    let (status, was_sealed) = outcome?;
    if status.state() == JobState::Sealed && !arguments.quiet {
        let rows = counted(status.rows_total, "row");
        match summary {
            _ if was_sealed => {
                eprintln!("this job is sealed already, nothing was computed: {rows}");
            }
            Some(summary) => eprintln!("attributed {summary}"),
            None => eprintln!("attributed {rows}"),
        }
    }
    let results = Results::open(&root, &status.job_id).await?;
    let ending = Ending {
        display: &arguments.display,
        shown_root: &arguments.storage.root,
    };
    conclude(&status, &results, &ending).await
}

/// Runs the job to its end. Returns how it ended, and whether it had before.
async fn work(
    local: &mut Local,
    arguments: &AttributeDataset,
    spec: &JobSpec,
    progress: &mut JobProgress,
) -> Result<(JobStatus, bool), Failure> {
    let mut jobs = local.jobs();
    let (id, existed) = jobs.submit(spec).await?;
    let (status, _) = jobs.get(&id).await?;
    if status.state() != JobState::Running {
        return Ok((status, true));
    }
    if existed && !arguments.quiet {
        eprintln!(
            "resuming job {id}: {} of {} stand",
            grouped(status.rows_done),
            counted(status.rows_total, "row")
        );
    }
    let config = whence_worker::Config {
        batch_size: arguments.batch.batch_size,
        memory: arguments.batch.memory_of_each(arguments.workers),
        ..whence_worker::Config::default()
    };
    local.add_workers(arguments.workers, &config);
    tokio::select! {
        status = jobs.follow(&id, progress) => Ok((status?, false)),
        failure = local.failed() => Err(failure),
        () = stop_requested() => Err(stopped(local, &id).await),
    }
}

/// Drains the workers and says what stands. Whoever asks twice does not want to wait for that.
async fn stopped(local: &mut Local, id: &JobId) -> Failure {
    tokio::select! {
        () = local.drain() => {}
        () = stop_requested() => {}
    }
    let stands = match local.jobs().get(id).await {
        Ok((status, _)) => format!(
            ", {} of {} stand",
            grouped(status.rows_done),
            counted(status.rows_total, "row")
        ),
        Err(_) => String::new(),
    };
    Failure::interrupted(format!("job {id} is not finished{stands}"))
        .hint("the same command again goes on from there")
}
