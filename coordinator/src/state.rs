//! What a coordinator knows: its jobs, its workers, and whether it still serves.
//!
//! This module is pure: it has no clock, lock or store. [`SharedState`](crate::shared::SharedState)
//! puts the state behind a lock; `jobs`, `dispatch` and `reconcile` use it from there.

use std::collections::BTreeMap;
use std::time::Duration;

use whence_schemas::{Attempt, Epoch, JobId, WorkerId, WorkerRequirements, layout};

use crate::Error;
use crate::access::Caller;
use crate::assignment::{Assigned, AttemptAt, AttemptProgress};
use crate::job::scheduler::{self, Assignment, Request};
use crate::job::{
    Due, Event, Failure, FailureClass, Job, Machines, Phase, SlotState, Tenant, Tenants, Timestamp,
    Totals,
};

/// The status of a job: its phase, its progress, and where its table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSummary {
    /// The job.
    pub id: JobId,
    /// Whether it is running, sealed, canceled or failed.
    pub phase: Phase,
    /// Whether somebody paused it.
    pub is_paused: bool,
    /// Who submitted it; none if nobody is told apart.
    pub tenant: Option<Tenant>,
    /// Its progress in rows, slots, tokens and estimated work.
    pub totals: Totals,
    /// The folder that holds its slots, relative to the storage root.
    pub table: String,
    /// Workers that the coordinator heard from recently, whichever job they work on.
    pub workers: u64,
    /// What the job asks of its workers, if no worker there has it.
    pub waiting_for: Option<WorkerRequirements>,
}

/// Everything that the coordinator knows.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) jobs: BTreeMap<JobId, Job>,
    /// The workers that the coordinator heard from.
    pub(crate) workers: Machines,
    /// The epoch of a newer coordinator, once one has been seen. This one then steps down.
    pub(crate) newer: Option<Epoch>,
    /// Attempts that failed or were lost, by the code of their class.
    pub(crate) failed: BTreeMap<&'static str, u64>,
    /// What the store last refused, if it has not answered since.
    pub(crate) store_fault: Option<String>,
    /// Whether the coordinator is shutting down and hands out no more slots.
    pub(crate) is_draining: bool,
}

/// What [`State::expire`] ended.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Expired {
    /// The lost attempts, each with its job. The caller records them in the store.
    pub(crate) lost: Vec<(JobId, Failure)>,
    /// Whether anything changed: an attempt was lost or a worker was forgotten.
    pub(crate) is_any: bool,
}

impl State {
    /// Makes a state with these jobs and no workers.
    pub(crate) fn of_jobs(jobs: Vec<Job>) -> Self {
        let by_id = jobs.into_iter().map(|job| (job.id().clone(), job));
        Self {
            jobs: by_id.collect(),
            ..Self::default()
        }
    }

    /// Returns a job. Fails with [`Error::UnknownJob`] if there is none with this id.
    pub(crate) fn job(&self, id: &JobId) -> Result<&Job, Error> {
        self.jobs
            .get(id)
            .ok_or_else(|| Error::UnknownJob(id.clone()))
    }

    /// Fails if this coordinator, whose epoch is `ours`, must no longer serve.
    pub(crate) fn serving(&self, ours: Epoch) -> Result<(), Error> {
        match self.newer {
            Some(newer) => Err(Error::SteppedDown { ours, newer }),
            None if self.is_draining => Err(Error::Draining),
            None => Ok(()),
        }
    }

    /// Fails with [`Error::UnknownJob`] if there is no such job, or `caller` may not see it.
    pub(crate) fn check_visible(&self, id: &JobId, caller: &Caller) -> Result<(), Error> {
        let job = self.job(id)?;
        let is_visible = caller.may_see(job.tenant());
        is_visible
            .then_some(())
            .ok_or_else(|| Error::UnknownJob(id.clone()))
    }

    /// Returns the status of a job.
    pub(crate) fn summary(&self, id: &JobId) -> Result<JobSummary, Error> {
        self.job(id).map(|job| self.summary_of(job))
    }

    /// Returns the status of every job that `caller` may see, newest first.
    pub(crate) fn summaries(&self, caller: &Caller) -> Vec<JobSummary> {
        let jobs = self.jobs.values();
        let mut jobs: Vec<_> = jobs.filter(|job| caller.may_see(job.tenant())).collect();
        jobs.sort_by_cached_key(|job| std::cmp::Reverse((job.order().0, job.id().clone())));
        jobs.into_iter().map(|job| self.summary_of(job)).collect()
    }

    fn summary_of(&self, job: &Job) -> JobSummary {
        let asked = &job.spec().workers;
        let is_waiting = *job.phase() == Phase::Running && self.workers.none_fits(asked);
        JobSummary {
            id: job.id().clone(),
            phase: job.phase().clone(),
            is_paused: job.is_paused(),
            tenant: job.tenant().cloned(),
            totals: job.totals(),
            table: job.table().to_owned(),
            workers: self.workers.num_there() as u64,
            waiting_for: is_waiting.then(|| asked.clone()),
        }
    }

    /// Applies an event to a job. Does nothing if the job is unknown.
    pub(crate) fn apply(&mut self, id: &JobId, event: Event, now: Timestamp) {
        if let Some(job) = self.jobs.get_mut(id) {
            job.apply(event, now);
        }
    }

    /// Resumes a known job if it can be resumed. Returns false if the job is unknown.
    ///
    /// Fails with [`Error::Ended`] if the job was canceled or failed for good.
    pub(crate) fn resubmit(&mut self, id: &JobId, now: Timestamp) -> Result<bool, Error> {
        let Some(job) = self.jobs.get_mut(id) else {
            return Ok(false);
        };
        job.apply(Event::Resubmitted, now);
        let ended = |how: String| Error::Ended {
            job: id.clone(),
            how,
        };
        match job.phase() {
            Phase::Running | Phase::Sealed => Ok(true),
            Phase::Cancelled => Err(ended("was cancelled".to_owned())),
            Phase::Failed { message, .. } => Err(ended(format!("failed: {message}"))),
        }
    }

    /// Renews the leases of the attempts that `worker` reports, and returns those it should stop.
    ///
    /// Neither the worker nor the attempts need to be known: after a coordinator restart, this is
    /// how running attempts get their leases back.
    pub(crate) fn renew(
        &mut self,
        worker: &WorkerId,
        progress: &[AttemptProgress],
        now: Timestamp,
    ) -> Vec<AttemptAt> {
        self.workers.heard(worker, now);
        let mut unwanted = Vec::new();
        for progress in progress {
            let event = Event::Renewed {
                slot: progress.at.slot.clone(),
                attempt: progress.at.attempt.clone(),
                worker: worker.clone(),
                done: progress.done,
            };
            self.apply(&progress.at.job, event, now);
            if !self.is_wanted(&progress.at) {
                unwanted.push(progress.at.clone());
            }
        }
        unwanted
    }

    /// Returns whether an attempt's result is still of use: its job runs and its slot is open.
    fn is_wanted(&self, at: &AttemptAt) -> bool {
        let Some(job) = self.jobs.get(&at.job) else {
            return false;
        };
        let is_open = !matches!(
            job.slot(&at.slot),
            None | Some(SlotState::Filled(_) | SlotState::Split { .. })
        );
        is_open && *job.phase() == Phase::Running
    }

    /// Chooses slots for a worker and leases them. `new_attempt` makes the id of each attempt.
    pub(crate) fn assign(
        &mut self,
        request: &Request,
        tenants: &Tenants,
        now: Timestamp,
        new_attempt: impl Fn() -> Attempt,
    ) -> Vec<Assigned> {
        self.workers.heard(&request.worker, now);
        self.workers.introduced(&request.worker, &request.class);
        let chosen = scheduler::assign(self.jobs.values(), tenants, request, now);
        let lease = |chosen| self.lease(chosen, request, new_attempt(), now);
        chosen.into_iter().filter_map(lease).collect()
    }

    fn lease(
        &mut self,
        chosen: Assignment,
        request: &Request,
        attempt: Attempt,
        now: Timestamp,
    ) -> Option<Assigned> {
        let job = self.jobs.get_mut(&chosen.job)?;
        let rows = job.plan().rows(&chosen.slot)?;
        let event = Event::Leased {
            slot: chosen.slot.clone(),
            attempt: attempt.clone(),
            worker: request.worker.clone(),
        };
        job.apply(event, now);
        let workers = &self.workers;
        let is_smaller =
            |memory| workers.has_larger(memory, |worker, class| job.may_be_given_to(worker, class));
        Some(Assigned {
            larger_worker: request.class.memory.is_some_and(is_smaller),
            spec_json: job.spec().canonical_json(),
            slot_key: layout::slot(job.table(), &chosen.slot),
            rows: rows.end - rows.start,
            at: AttemptAt {
                job: chosen.job,
                slot: chosen.slot,
                attempt,
            },
        })
    }

    /// Returns when the pause of the next slot that is resting after a failure ends.
    ///
    /// No event happens at that moment, so a task that waits for a slot must set its own timer.
    pub(crate) fn next_rested(&self, now: Timestamp) -> Option<Timestamp> {
        let pending = self.jobs.values().filter_map(Job::next_pending);
        pending.filter(|at| *at > now).min()
    }

    /// Ends the leases of vanished or stuck attempts, and forgets workers that have been silent for
    /// `silence`.
    pub(crate) fn expire(&mut self, now: Timestamp, silence: Duration) -> Expired {
        let has_forgotten = self.workers.expire(now, silence);
        let machines = &self.workers;
        let lost = self.jobs.iter_mut().flat_map(|(id, job)| {
            job.forget_larger(machines);
            let lost = job.expire(now, machines);
            lost.into_iter().map(|failure| (id.clone(), failure))
        });
        let lost: Vec<_> = lost.collect();
        for (_, failure) in &lost {
            self.count_failed(failure.class);
        }
        Expired {
            is_any: has_forgotten || !lost.is_empty(),
            lost,
        }
    }

    /// Counts an attempt that failed or was lost.
    pub(crate) fn count_failed(&mut self, class: FailureClass) {
        *self.failed.entry(class.code()).or_default() += 1;
    }

    /// Returns the objects that should be written to the store, each with its job.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<(JobId, Due)> {
        let of_job = |job: &Job| {
            let due = job.due(now).into_iter();
            let due = due.map(|due| (job.id().clone(), due));
            due.collect::<Vec<_>>()
        };
        self.jobs.values().flat_map(of_job).collect()
    }

    /// Returns the running jobs, each with the folder of its slots.
    pub(crate) fn running(&self) -> Vec<(JobId, String)> {
        let running = self.jobs.values();
        let running = running.filter(|job| *job.phase() == Phase::Running);
        let running = running.map(|job| (job.id().clone(), job.table().to_owned()));
        running.collect()
    }
}

#[cfg(test)]
mod tests;
