//! Fires schedules: decides what happens at the times that have come, and submits the jobs.
//!
//! A time is decided by creating its object, which one coordinator can do once. Only then are the jobs
//! submitted, so that a coordinator that ends in between leaves a decision behind, and the next one
//! submits what is missing. Submitting a job twice finds the same job.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;

use whence_schemas::{ErrorKind, JobId, JobSpec, chain};

use crate::Error;
use crate::clock::Clock;
use crate::core::Core;
use crate::durable::schedules::{self, Current, Fire, FireId, Objects, Outcome};
use crate::job::{Job, Phase};
use crate::jobs::Jobs;
use crate::schedule::{Decision, ScheduleName, Seen, due};

/// Fires of a schedule whose jobs are looked at after a start: those before were submitted long ago.
const RECENT: usize = 100;

/// Fires the schedules of a storage root.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scheduling<'c>(&'c Core);

/// What was read. Objects never change, so nothing is read twice.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Each schedule, with the number of changes that have made it.
    current: HashMap<ScheduleName, (u64, Option<Current>)>,
    fires: HashMap<String, Fire>,
    /// Fires whose jobs are submitted, or cannot be.
    submitted: HashSet<(ScheduleName, FireId)>,
}

/// A schedule, and the objects that there are of it.
struct Scheduled<'s> {
    name: &'s ScheduleName,
    current: &'s Current,
    objects: &'s Objects,
}

impl<'c> Scheduling<'c> {
    pub(crate) fn new(core: &'c Core) -> Self {
        Self(core)
    }

    /// Fires what is due, for ever. What goes wrong is logged and tried again.
    pub(crate) async fn run(self) -> Infallible {
        let mut memory = Memory::default();
        loop {
            if self.0.serving().is_ok()
                && let Err(error) = self.pass(&mut memory, Clock::calendar_ms()).await
            {
                let error = chain(&error);
                tracing::warn!(error, "schedules cannot be read, trying again");
            }
            tokio::time::sleep(self.0.config.poll_interval).await;
        }
    }

    /// Fires what is due when clocks show `now_ms`. What goes wrong with one schedule does not hold up
    /// the others.
    ///
    /// Fails if the store does not answer.
    pub(crate) async fn pass(self, memory: &mut Memory, now_ms: u64) -> Result<(), Error> {
        let listed = schedules::list(self.0.store.as_ref()).await?;
        memory.forget_all_but(&listed);
        for (name, objects) in &listed {
            let looked = async {
                let Some(current) = self.current(memory, name, objects.changes).await? else {
                    return Ok(());
                };
                let scheduled = Scheduled {
                    name,
                    current: &current,
                    objects,
                };
                self.look(memory, &scheduled, now_ms).await
            };
            match looked.await {
                Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                Err(error) => {
                    let error = chain(&error);
                    tracing::error!(schedule = %name, error, "the schedule cannot be followed");
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }

    async fn current(
        self,
        memory: &mut Memory,
        name: &ScheduleName,
        changes: u64,
    ) -> Result<Option<Current>, Error> {
        match memory.current.get(name) {
            Some((known, current)) if *known == changes => Ok(current.clone()),
            _ => {
                let store = self.0.store.as_ref();
                let current = schedules::current(store, name, changes).await?;
                memory
                    .current
                    .insert(name.clone(), (changes, current.clone()));
                Ok(current)
            }
        }
    }

    /// Submits what earlier decisions left, and decides about the times that have come.
    async fn look(
        self,
        memory: &mut Memory,
        scheduled: &Scheduled<'_>,
        now_ms: u64,
    ) -> Result<(), Error> {
        let Scheduled {
            name,
            current,
            objects,
        } = scheduled;
        let mut last: Option<Fire> = None;
        for (id, key) in objects.fires.iter().rev().take(RECENT) {
            let fire = self.fire(memory, key).await?;
            if fire.outcome == Outcome::Fired {
                self.submit(memory, scheduled, *id, &fire).await?;
                last.get_or_insert(fire);
            }
        }
        if current.is_paused {
            return Ok(());
        }
        let decided_ms = objects.last_decided(now_ms).unwrap_or_default();
        let seen = Seen {
            decided_ms: decided_ms.max(current.since_ms),
            is_running: last.as_ref().is_some_and(|fire| self.is_running(fire)),
        };
        let decisions = due(name, &current.schedule, seen, now_ms);
        for (time_ms, decision) in decisions.map_err(|error| Error::Stored {
            key: name.to_string(),
            reason: error.to_string(),
        })? {
            if let (Decision::Replace, Some(last)) = (decision, &last) {
                self.cancel(last).await?;
            }
            let id = FireId {
                time_ms,
                is_manual: false,
            };
            self.decide(memory, scheduled, (id, decision), now_ms)
                .await?;
        }
        Ok(())
    }

    async fn decide(
        self,
        memory: &mut Memory,
        scheduled: &Scheduled<'_>,
        (id, decision): (FireId, Decision),
        now_ms: u64,
    ) -> Result<(), Error> {
        let Scheduled { name, current, .. } = scheduled;
        let outcome = match decision {
            Decision::Fire | Decision::Replace => Outcome::Fired,
            Decision::Skip => Outcome::Skipped,
            Decision::Miss => Outcome::Missed,
        };
        let jobs = match outcome {
            Outcome::Fired => current.schedule.runs(name, id.time_ms),
            Outcome::Skipped | Outcome::Missed => Vec::new(),
        };
        let fire = Fire {
            outcome,
            jobs: jobs.iter().map(JobSpec::id).collect(),
            at_ms: now_ms,
            epoch: Some(self.0.epoch),
        };
        let decided = schedules::decide(self.0.store.as_ref(), name, id, fire).await?;
        tracing::info!(schedule = %name, outcome = ?decided.outcome, time_ms = id.time_ms, "decided");
        if decided.outcome == Outcome::Fired {
            self.submit(memory, scheduled, id, &decided).await?;
        }
        Ok(())
    }

    /// Submits the jobs of a fire, unless that was done before.
    async fn submit(
        self,
        memory: &mut Memory,
        scheduled: &Scheduled<'_>,
        id: FireId,
        fire: &Fire,
    ) -> Result<(), Error> {
        let Scheduled { name, current, .. } = scheduled;
        let known = ((*name).clone(), id);
        if memory.submitted.contains(&known) {
            return Ok(());
        }
        let runs = current.schedule.runs(name, id.time_ms).into_iter();
        let mut runs: HashMap<JobId, JobSpec> = runs.map(|spec| (spec.id(), spec)).collect();
        for job in &fire.jobs {
            let submitted = match runs.remove(job) {
                Some(spec) => Jobs::new(self.0).submit(spec).await.map(|_| ()),
                // The schedule is another one now. What it was then is submitted, unless a coordinator
                // ended just in between.
                None => Jobs::new(self.0).look_up(job).await,
            };
            match submitted {
                Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                // A job that was canceled or has failed is not submitted again.
                Err(error) if !self.knows(job) => {
                    let message = chain(&error);
                    tracing::error!(schedule = %name, %job, message, "a job is not submitted");
                    let store = self.0.store.as_ref();
                    schedules::record_error(store, name, id, message).await?;
                }
                Err(_) | Ok(()) => {}
            }
        }
        memory.submitted.insert(known);
        Ok(())
    }

    async fn fire(self, memory: &mut Memory, key: &str) -> Result<Fire, Error> {
        if let Some(fire) = memory.fires.get(key) {
            return Ok(fire.clone());
        }
        let read = schedules::fire(self.0.store.as_ref(), key).await?;
        let fire = read.ok_or_else(|| Error::Stored {
            key: key.to_owned(),
            reason: "it was deleted".to_owned(),
        })?;
        memory.fires.insert(key.to_owned(), fire.clone());
        Ok(fire)
    }

    /// Cancels the jobs of a fire that have not ended.
    async fn cancel(self, fire: &Fire) -> Result<(), Error> {
        for job in fire.jobs.iter().filter(|job| self.runs(job)) {
            Jobs::new(self.0).cancel(job).await?;
        }
        Ok(())
    }

    fn is_running(self, fire: &Fire) -> bool {
        fire.jobs.iter().any(|job| self.runs(job))
    }

    fn runs(self, job: &JobId) -> bool {
        let state = &self.0.state;
        state.read(|state| state.jobs.get(job).map(Job::phase) == Some(&Phase::Running))
    }

    fn knows(self, job: &JobId) -> bool {
        self.0.state.read(|state| state.jobs.contains_key(job))
    }
}

impl Memory {
    /// Forgets what no pass looks at any more.
    fn forget_all_but(&mut self, listed: &BTreeMap<ScheduleName, Objects>) {
        self.current.retain(|name, _| listed.contains_key(name));
        self.submitted.retain(|(name, _)| listed.contains_key(name));
        let recent = listed.values().flat_map(|objects| {
            let fires = objects.fires.values().rev();
            fires.take(RECENT)
        });
        let recent: HashSet<&String> = recent.collect();
        self.fires.retain(|key, _| recent.contains(key));
    }
}

#[cfg(test)]
mod tests;
