//! Runs a job to its end: in this process, or on the workers of a coordinator elsewhere.

use whence_proto::v1::{JobState, JobStatus};
use whence_schemas::{JobId, JobSpec};

use super::dry_run;
use super::stop::{stop_requested, unless_stopped};
use super::watch::follow;
use crate::args::{BatchOptions, PlaceOptions, ProgressMode, ProgressOptions};
use crate::job::Request;
use crate::local::Local;
use crate::output::{counted, grouped};
use crate::progress::{DataArrivals, JobProgress};
use crate::remote::{Address, Jobs};
use crate::results::Results;
use crate::verification::verification;
use crate::{Exit, Failure, job};

/// A job that has ended.
pub(super) struct Ended {
    pub(super) status: JobStatus,
    /// The storage root as the user knows it.
    pub(super) shown_root: String,
    root: String,
}

impl Ended {
    /// Opens the job's table.
    pub(super) async fn results(&self) -> Result<Results, Failure> {
        Results::open(&self.root, &self.status.job_id).await
    }

    /// Waits for `conclusion`, which shows and writes the results, unless it is stopped.
    pub(super) async fn unless_stopped(
        &self,
        conclusion: impl Future<Output = Result<(), Failure>>,
    ) -> Result<(), Failure> {
        let told = format!(
            "the table of job {id} is complete; the other files are not written",
            id = self.status.job_id
        );
        let concluded = unless_stopped(conclusion, &told).await;
        concluded.map_err(|failure| match failure.exit() {
            Exit::Interrupted => failure.hint("run the same command again to write them"),
            _ => failure,
        })
    }
}

/// Runs the job that `request` describes where `place` says, and waits for its end. With `--dry-run`,
/// prints what the job would cost instead; then no job has ended.
pub(super) async fn run(
    request: Request<'_>,
    place: &PlaceOptions,
    batch: &BatchOptions,
) -> Result<Option<Ended>, Failure> {
    if let Some(format) = place.dry_run {
        let told = "nothing was computed or written";
        let estimated = Box::pin(dry_run::run(request, place, batch, format));
        unless_stopped(estimated, told).await?;
        return Ok(None);
    }
    let ended = match &place.cluster {
        Some(url) => {
            let to = Address {
                url,
                access: &place.access,
            };
            on_cluster(to, request, place.progress).await
        }
        None => here(request, place, batch).await,
    };
    ended.map(Some)
}

/// Runs the job on the workers of a coordinator elsewhere.
pub(super) async fn on_cluster(
    to: Address<'_>,
    request: Request<'_>,
    progress: ProgressOptions,
) -> Result<Ended, Failure> {
    let submitted = submit(to, request, progress.mode()).await?;
    followed(submitted, progress).await
}

/// Follows a job on the workers of a coordinator elsewhere to its end.
pub(super) async fn followed(
    submitted: Submitted,
    progress: ProgressOptions,
) -> Result<Ended, Failure> {
    let mode = progress.mode();
    let is_quiet = mode == ProgressMode::None;
    let Submitted {
        mut jobs,
        id,
        existed,
    } = submitted;
    let (status, _) = jobs.get(&id).await?;
    let was_sealed = status.state() == JobState::Sealed;
    if existed && !was_sealed && !is_quiet {
        eprintln!("following job {id}, which was submitted before");
    }
    let (status, summary) = follow(&mut jobs, &id, mode).await?;
    if status.state() == JobState::Sealed && !is_quiet {
        tell_rows(&status, was_sealed, summary);
    }
    Ok(Ended {
        shown_root: status.root.clone(),
        root: status.root.clone(),
        status,
    })
}

/// A job that a coordinator has taken.
pub(super) struct Submitted {
    /// The client of the coordinator.
    pub(super) jobs: Jobs,
    pub(super) id: JobId,
    /// Whether the same job was submitted before.
    pub(super) existed: bool,
}

/// Submits the job that `request` describes to a coordinator elsewhere.
pub(super) async fn submit(
    to: Address<'_>,
    request: Request<'_>,
    mode: ProgressMode,
) -> Result<Submitted, Failure> {
    // Connect first. Computing digests takes a while, and it would be in vain if no coordinator
    // is listening.
    let mut jobs = Jobs::connect(to).await?;
    let arrivals = DataArrivals::show(mode);
    let (spec, _) = job::specification(request).await?;
    drop(arrivals);
    let (id, existed) = jobs.submit(&spec).await?;
    Ok(Submitted { jobs, id, existed })
}

async fn here(
    request: Request<'_>,
    place: &PlaceOptions,
    batch: &BatchOptions,
) -> Result<Ended, Failure> {
    let arrivals = DataArrivals::show(place.progress.mode());
    let (spec, model) = job::specification(request).await?;
    let config = job::worker_config(batch, place.workers)?;
    job::check_memory(config.memory, &model, place.workers)?;
    job::check_workers(&spec, &config)?;
    let new = New::Job {
        spec: Box::new(spec),
        _arrivals: arrivals,
    };
    let machine = Machine {
        root: &place.storage.root,
        workers: place.workers,
        config,
        progress: place.progress,
    };
    computed(new, &machine).await
}

/// Runs a job to its end in this process.
pub(super) async fn computed(new: New, machine: &Machine<'_>) -> Result<Ended, Failure> {
    let mode = machine.progress.mode();
    let mut local = Local::start(machine.root).await?;
    let mut progress = JobProgress::start(mode);
    let outcome = work(&mut local, machine, new, &mut progress).await;
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
    if was_sealed && status.state() == JobState::Sealed {
        // What an earlier run has left may have been damaged since.
        let results = Results::open(&root, &status.job_id).await?;
        verification(&results).await?.check(results.id())?;
    }
    if status.state() == JobState::Sealed && mode != ProgressMode::None {
        tell_rows(&status, was_sealed, summary);
    }
    Ok(Ended {
        status,
        shown_root: machine.root.to_owned(),
        root,
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

/// A job that is not submitted yet.
pub(super) enum New {
    /// The job of this specification, and the display of what is read to plan it.
    Job {
        spec: Box<JobSpec>,
        _arrivals: DataArrivals,
    },
    /// The job that computes the failed rows of this one again.
    RetryOf(JobId),
}

/// How this process runs a job.
pub(super) struct Machine<'a> {
    /// The storage root.
    pub(super) root: &'a str,
    pub(super) workers: u16,
    /// Settings of each worker.
    pub(super) config: whence_worker::Config,
    pub(super) progress: ProgressOptions,
}

/// Runs the job to its end. Returns its final status, and whether it had already ended before.
async fn work(
    local: &mut Local,
    machine: &Machine<'_>,
    new: New,
    progress: &mut JobProgress,
) -> Result<(JobStatus, bool), Failure> {
    let mut jobs = local.jobs();
    // The dataset is read once to plan the job. The job's own progress is shown after that.
    let (id, existed) = match new {
        New::Job { spec, _arrivals } => jobs.submit(&spec).await?,
        New::RetryOf(id) => jobs.retry(&id).await?,
    };
    let (status, _) = jobs.get(&id).await?;
    if status.state() != JobState::Running {
        return Ok((status, true));
    }
    if existed && machine.progress.mode() != ProgressMode::None {
        eprintln!(
            "resuming job {id}: {} of {} are saved",
            grouped(status.rows_done),
            counted(status.rows_total, "row")
        );
    }
    local.add_workers(machine.workers, &machine.config);
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
