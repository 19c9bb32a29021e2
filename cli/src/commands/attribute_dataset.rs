//! `whence attribute-dataset`: runs a coordinator and its workers in this process until the table
//! is complete.

use whence_proto::v1::{JobState, JobStatus};
use whence_schemas::{JobId, JobSpec};

use super::artifacts::Targets;
use super::ending::{Ending, conclude};
use super::stop::{stop_requested, unless_stopped};
use crate::args::AttributeDataset;
use crate::local::Local;
use crate::output::{counted, grouped};
use crate::progress::{DataArrivals, JobProgress};
use crate::results::Results;
use crate::{Exit, Failure, job};

pub(super) async fn run(arguments: AttributeDataset) -> Result<(), Failure> {
    // Only checks that the files can be created. They are written after the job, from its table.
    drop(Targets::create(&arguments.display)?);
    let attribution = job::attribution(&arguments.attribution, &arguments.model)?;
    let arrivals = DataArrivals::show(arguments.quiet);
    let inputs = (&arguments.model, &arguments.dataset);
    let (spec, model) = job::specification(inputs, attribution, &arguments.job).await?;
    let memory = job::memory_of_each(&arguments.batch, &model, arguments.workers)?;
    let mut local = Local::start(&arguments.storage.root).await?;
    let mut progress = JobProgress::start(arguments.quiet);
    let new = New { spec, arrivals };
    let outcome = work(&mut local, (&arguments, memory), new, &mut progress).await;
    let summary = outcome
        .as_ref()
        .ok()
        .and_then(|(status, _)| progress.summary(status));
    progress.finish();
    let root = local.root().to_owned();
    tokio::select! {
        () = local.stop() => {}
        // A request to stop cuts the shutdown short: everything computed is saved already.
        _ = stop_requested() => {}
    }
    let (status, was_sealed) = outcome?;
    if status.state() == JobState::Sealed && !arguments.quiet {
        tell_rows(&status, was_sealed, summary);
    }
    let results = Results::open(&root, &status.job_id).await?;
    let ending = Ending {
        display: &arguments.display,
        shown_root: &arguments.storage.root,
    };
    let told = format!(
        "the table of job {id} is complete; the other files are not written",
        id = status.job_id
    );
    unless_stopped(conclude(&status, &results, &ending), &told)
        .await
        .map_err(|failure| match failure.exit() {
            Exit::Interrupted => failure.hint("run the same command again to write them"),
            _ => failure,
        })
}

/// Prints how many rows were attributed, and in what time.
fn tell_rows(status: &JobStatus, was_sealed: bool, summary: Option<String>) {
    let rows = counted(status.rows_total, "row");
    match summary {
        _ if was_sealed => eprintln!("already complete; nothing to compute: {rows}"),
        Some(summary) => eprintln!("attributed {summary}"),
        None => eprintln!("attributed {rows}"),
    }
}

/// A job that is not submitted yet, and the display of what is read to plan it.
struct New {
    spec: JobSpec,
    arrivals: DataArrivals,
}

/// Runs the job to its end. Returns its final status, and whether it had already ended before.
async fn work(
    local: &mut Local,
    (arguments, memory): (&AttributeDataset, Option<u64>),
    new: New,
    progress: &mut JobProgress,
) -> Result<(JobStatus, bool), Failure> {
    let mut jobs = local.jobs();
    let (id, existed) = jobs.submit(&new.spec).await?;
    // The dataset was read once to plan the job. The job's own progress is shown from here on.
    drop(new.arrivals);
    let (status, _) = jobs.get(&id).await?;
    if status.state() != JobState::Running {
        return Ok((status, true));
    }
    if existed && !arguments.quiet {
        eprintln!(
            "resuming job {id}: {} of {} are saved",
            grouped(status.rows_done),
            counted(status.rows_total, "row")
        );
    }
    let config = whence_worker::Config {
        batch_size: arguments.batch.batch_size,
        memory,
        ..whence_worker::Config::default()
    };
    local.add_workers(arguments.workers, &config);
    tokio::select! {
        status = jobs.follow(&id, progress) => Ok((status?, false)),
        failure = local.failed() => Err(failure),
        exit = stop_requested() => Err(stopped(local, &id, exit).await),
    }
}

/// Drains the workers and reports how much is saved. A second request to stop skips the draining.
async fn stopped(local: &mut Local, id: &JobId, exit: Exit) -> Failure {
    tokio::select! {
        () = local.drain() => {}
        _ = stop_requested() => {}
    }
    let saved = match local.jobs().get(id).await {
        Ok((status, _)) => format!(
            "; {} of {} are saved",
            grouped(status.rows_done),
            counted(status.rows_total, "row")
        ),
        Err(_) => String::new(),
    };
    Failure::stopped(exit, format!("job {id} is not finished{saved}"))
        .hint("run the same command again to resume")
}
