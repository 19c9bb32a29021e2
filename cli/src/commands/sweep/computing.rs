//! Computes many jobs at once: in this process, or on the workers of a coordinator.
//!
//! All jobs are submitted before the first worker starts. The scheduler then keeps a worker at the jobs
//! whose model it has loaded, so that each model is loaded once.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use whence_proto::v1::{JobState, JobStatus};
use whence_schemas::{JobId, JobSpec};

use super::super::stop::stop_requested;
use super::states::{self, States};
use crate::args::{ProgressMode, ProgressOptions};
use crate::local::Local;
use crate::output::counted;
use crate::progress::JobProgress;
use crate::remote::{Address, Jobs};
use crate::sweep::Budget;
use crate::{Exit, Failure};

/// Pause between two looks at the jobs of this process.
const LOOK_HERE_EVERY: Duration = Duration::from_millis(200);
/// Pause between two looks at those of a coordinator elsewhere.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A job that is to be computed.
pub(super) enum New<'a> {
    /// The job of this specification.
    Job(&'a JobSpec),
    /// The one that computes the failed rows of this job again.
    RetryOf(JobId),
}

/// Where jobs are computed.
pub(super) struct Place<'a> {
    /// The storage root of this process.
    pub(super) root: &'a str,
    /// The coordinator, if they are computed elsewhere.
    pub(super) cluster: Option<Address<'a>>,
    /// Workers of this process, and their settings.
    pub(super) workers: u16,
    pub(super) config: whence_worker::Config,
    pub(super) progress: ProgressOptions,
}

/// What became of the jobs.
pub(super) struct Computed {
    /// For each, in the order in which they were given, its id, or why it could not be submitted.
    pub(super) submitted: Vec<Result<JobId, Failure>>,
    pub(super) states: States,
    /// Why the others were not waited for.
    pub(super) stopped: Option<Failure>,
}

/// Submits all jobs and computes them until each has ended, or the budget is used up.
///
/// Fails if nothing can be submitted at all.
pub(super) async fn compute(
    jobs: &[New<'_>],
    place: &Place<'_>,
    budget: &Budget,
) -> Result<Computed, Failure> {
    match place.cluster {
        Some(address) => on_cluster(jobs, address, place.progress.mode(), budget).await,
        None => here(jobs, place, budget).await,
    }
}

async fn here(jobs: &[New<'_>], place: &Place<'_>, budget: &Budget) -> Result<Computed, Failure> {
    let mut local = Local::start(place.root).await?;
    let mut client = local.jobs();
    let submitted = submit(&mut client, jobs).await;
    let mode = place.progress.mode();
    let mut following = Following::of(client, &submitted, mode);
    (following.every, following.workers) = (LOOK_HERE_EVERY, Some(place.workers));
    let mut stopped = None;
    following.look().await?;
    if !following.has_ended() {
        local.add_workers(place.workers, &place.config);
        stopped = tokio::select! {
            outcome = following.until_ended(budget) => outcome?,
            failure = local.failed() => return Err(failure),
            exit = stop_requested() => Some(interrupted(exit)),
        };
    }
    if stopped.is_some() {
        tokio::select! {
            () = local.drain() => {}
            // A second request to stop does not wait for what is being computed.
            _ = stop_requested() => {}
        }
        following.look().await?;
    }
    following.progress.finish();
    let states = following.states;
    drop(following.jobs);
    tokio::select! {
        () = local.stop() => {}
        _ = stop_requested() => {}
    }
    Ok(Computed {
        submitted,
        states,
        stopped,
    })
}

async fn on_cluster(
    jobs: &[New<'_>],
    address: Address<'_>,
    mode: ProgressMode,
    budget: &Budget,
) -> Result<Computed, Failure> {
    let mut client = Jobs::connect(address).await?;
    let submitted = submit(&mut client, jobs).await;
    let mut following = Following::of(client, &submitted, mode);
    let stopped = tokio::select! {
        outcome = following.until_ended(budget) => outcome?,
        exit = stop_requested() => {
            let told = "stopped watching; the jobs go on";
            Some(Failure::stopped(exit, told).hint("whence sweep cancel FILE ends them"))
        }
    };
    if budget.is_used_up(following.used) {
        following.pause().await?;
    }
    following.progress.finish();
    Ok(Computed {
        submitted,
        states: following.states,
        stopped,
    })
}

/// Submits jobs, one after the other. What is refused does not stop the others.
async fn submit(client: &mut Jobs, jobs: &[New<'_>]) -> Vec<Result<JobId, Failure>> {
    let mut submitted = Vec::with_capacity(jobs.len());
    for job in jobs {
        let answer = match job {
            New::Job(spec) => client.submit(spec).await,
            New::RetryOf(id) => client.retry(id).await,
        };
        submitted.push(answer.map(|(id, _)| id));
    }
    submitted
}

fn interrupted(exit: Exit) -> Failure {
    let told = "the sweep is not finished; what was computed is kept";
    Failure::stopped(exit, told).hint("run the same command again to resume")
}

/// The jobs of a sweep while they are computed.
struct Following {
    jobs: Jobs,
    ids: Vec<JobId>,
    every: Duration,
    /// Workers of this process; `None` if the jobs say how many there are.
    workers: Option<u16>,
    states: States,
    /// For how long workers have computed, all of them together.
    used: Duration,
    progress: JobProgress,
}

impl Following {
    /// Begins to follow the jobs that were taken, as those of a coordinator elsewhere.
    fn of(jobs: Jobs, submitted: &[Result<JobId, Failure>], mode: ProgressMode) -> Self {
        Self {
            jobs,
            ids: submitted.iter().flatten().cloned().collect(),
            every: LOOK_EVERY,
            workers: None,
            states: States::new(),
            used: Duration::ZERO,
            progress: JobProgress::start(mode),
        }
    }

    /// Looks at the jobs until each has ended. Returns a failure if the budget is used up before.
    async fn until_ended(&mut self, budget: &Budget) -> Result<Option<Failure>, Failure> {
        loop {
            let since = Instant::now();
            self.look().await?;
            if self.has_ended() {
                return Ok(None);
            }
            if budget.is_used_up(self.used) {
                let open = self.open().count() as u64;
                let told = format!(
                    "the device hours of `budget` are used up; {} not complete",
                    match open {
                        1 => "1 job is".to_owned(),
                        open => format!("{} are", counted(open, "job")),
                    }
                );
                let hint = "what was computed is kept; raise the budget and run it again to go on";
                return Ok(Some(Failure::run(told).hint(hint)));
            }
            sleep(self.every).await;
            let workers = self
                .workers
                .map_or_else(|| self.open().map(|status| status.workers).sum(), u64::from);
            self.used += since.elapsed().mul_f64(workers as f64);
        }
    }

    async fn look(&mut self) -> Result<(), Failure> {
        let mut states = states::of_coordinator(&mut self.jobs).await?;
        states.retain(|id, _| self.ids.contains(id));
        self.states = states;
        self.progress.show(&together(self.states.values()));
        Ok(())
    }

    fn has_ended(&self) -> bool {
        self.open().next().is_none()
    }

    /// Returns the jobs that have not ended.
    fn open(&self) -> impl Iterator<Item = &JobStatus> {
        let states = self.states.values();
        states.filter(|status| status.state() == JobState::Running)
    }

    /// Pauses all jobs that have not ended.
    async fn pause(&mut self) -> Result<(), Failure> {
        let open: Vec<JobId> = self
            .open()
            .filter_map(|status| status.job_id.parse().ok())
            .collect();
        for id in open {
            self.jobs.pause(&id).await?;
        }
        self.look().await
    }
}

/// Returns the progress of several jobs as if they were one.
fn together<'a>(statuses: impl Iterator<Item = &'a JobStatus>) -> JobStatus {
    let mut all = JobStatus::default();
    all.set_state(JobState::Sealed);
    for status in statuses {
        all.rows_total += status.rows_total;
        all.rows_done += status.rows_done;
        all.rows_failed += status.rows_failed;
        all.rows_in_flight += status.rows_in_flight;
        all.tokens_done += status.tokens_done;
        all.work_total += status.work_total;
        all.work_done += status.work_done;
        if status.state() == JobState::Running {
            all.set_state(JobState::Running);
            all.workers += status.workers;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_jobs_have_ended_when_the_last_has() {
        let job = |rows_done, state| {
            let mut status = JobStatus {
                rows_total: 10,
                rows_done,
                workers: 1,
                ..JobStatus::default()
            };
            status.set_state(state);
            status
        };
        let jobs = [job(10, JobState::Sealed), job(4, JobState::Running)];
        let all = together(jobs.iter());
        assert_eq!((all.rows_total, all.rows_done, all.workers), (20, 14, 1));
        assert_eq!(all.state(), JobState::Running);
        let ended = [job(10, JobState::Sealed), job(4, JobState::Failed)];
        assert_ne!(together(ended.iter()).state(), JobState::Running);
    }
}
