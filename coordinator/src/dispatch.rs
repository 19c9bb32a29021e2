//! The coordinator's interface for workers.
//!
//! Every call names the attempts it is about, and may arrive repeatedly, late or out of order. A
//! worker's report that a slot is filled only tells the coordinator to look: the object in the slot
//! is what counts.

use std::sync::Arc;
use std::time::Duration;

use whence_schemas::job::NUMERICS_VERSION;
use whence_schemas::retry::jitter;
use whence_schemas::{Attempt, ErrorKind, JobId, WorkerId, chain, layout};

use crate::Error;
use crate::assignment::{Acquired, Assigned, AttemptAt, AttemptProgress, Registration};
use crate::core::Core;
use crate::durable::{create_json, seen_below};
use crate::job::scheduler::Request;
use crate::job::{Event, Failure, FailureClass, SlotState};
use crate::rows::{self, ShardRows};
use crate::shared::changed;

/// Pauses between the looks for a result that was reported and is not there.
const LOOKS_AGAIN: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
];

/// The coordinator's interface for workers.
#[derive(Debug, Clone, Copy)]
pub struct Dispatch<'c>(&'c Core);

impl<'c> Dispatch<'c> {
    pub(crate) fn new(core: &'c Core) -> Self {
        Self(core)
    }

    /// Registers a worker and renews the leases it reports. Returns the attempts it should stop.
    ///
    /// Fails if its protocol version or its numerics version differs from the coordinator's.
    pub fn register(self, registration: &Registration) -> Result<Vec<AttemptAt>, Error> {
        self.0.serving()?;
        check_versions(registration)?;
        let (worker, class) = (&registration.worker, &registration.class);
        tracing::info!(%worker, %class, "worker registered");
        let in_flight = registration.in_flight.iter().map(AttemptProgress::none);
        Ok(self.renew(&registration.worker, &in_flight.collect::<Vec<_>>()))
    }

    /// Renews the leases of the attempts that `worker` reports, and returns those it should stop.
    ///
    /// The worker need not be registered, so that it can continue after a coordinator restart.
    pub fn heartbeat(
        self,
        worker: &WorkerId,
        progress: &[AttemptProgress],
    ) -> Result<Vec<AttemptAt>, Error> {
        self.0.serving()?;
        Ok(self.renew(worker, progress))
    }

    fn renew(self, worker: &WorkerId, progress: &[AttemptProgress]) -> Vec<AttemptAt> {
        let now = self.0.clock.now();
        self.0
            .state
            .change(|state| state.renew(worker, progress, now))
    }

    /// Leases slots to a worker. Waits up to `wait` if none is free right now.
    pub async fn acquire(self, request: &Request, wait: Duration) -> Result<Acquired, Error> {
        let clock = self.0.clock;
        let until = clock.now().after(wait);
        let mut changes = self.0.state.changes();
        loop {
            changes.mark_unchanged();
            match self.0.serving() {
                Err(Error::Draining) => {
                    return Ok(Acquired {
                        is_draining: true,
                        ..Acquired::default()
                    });
                }
                other => other?,
            }
            let now = clock.now();
            let assigned = self.0.state.change_if(|state| {
                let assigned =
                    state.assign(request, &self.0.config.tenancy.shares, now, new_attempt);
                let is_any = !assigned.is_empty();
                (assigned, is_any)
            });
            let assigned = self.still_open(assigned).await;
            if !assigned.is_empty() || now >= until {
                return Ok(Acquired {
                    assigned,
                    is_draining: false,
                });
            }
            // The end of a slot's pause is not a change of the state, so it needs a timer.
            let rested = self.0.state.read(|state| state.next_rested(now));
            let until = rested.map_or(until, |rested| rested.min(until));
            changed(&mut changes, clock.instant(until)).await;
        }
    }

    /// Returns the leased slots that are still empty. Others may have been filled since the store was last
    /// polled, by a process that serves the job too or by a worker that died before it could report. Then
    /// a look costs less than the work.
    async fn still_open(self, assigned: Vec<Assigned>) -> Vec<Assigned> {
        let is_shared = self.0.config.share.is_some();
        let mut open = Vec::new();
        for slot in assigned {
            let table = self.0.state.read(|state| {
                let job = state.jobs.get(&slot.at.job)?;
                let may_be_filled = is_shared || job.is_suspect(&slot.at.slot);
                may_be_filled.then(|| job.table().to_owned())
            });
            let Some(table) = table else {
                open.push(slot);
                continue;
            };
            match seen_below(self.0.store.as_ref(), &table, &slot.at.slot, 0).await {
                Ok(events) if !events.is_empty() => self.apply_all(&slot.at.job, events),
                // The worker will meet the same error, and knows how to go on.
                Ok(_) | Err(_) => open.push(slot),
            }
        }
        open
    }

    /// Opens the rows of a slot, whether or not the attempt still holds its lease. Blocks.
    ///
    /// Fails if the job or the slot is unknown, or the data file cannot be read.
    pub fn rows(self, at: &AttemptAt) -> Result<ShardRows, Error> {
        let (spec, plan) = self.0.state.read(|state| {
            let job = state.job(&at.job)?;
            if job.slot(&at.slot).is_none() {
                return Err(Error::UnknownSlot {
                    job: at.job.clone(),
                    slot: at.slot.to_string(),
                });
            }
            Ok((Arc::clone(job.spec()), Arc::clone(job.plan())))
        })?;
        let rows = rows::read_rows(&spec.dataset, &plan, &at.slot)?;
        Ok(rows.for_attribution(&spec.attribution))
    }

    /// Handles a worker's report that its slot is filled or split, by looking at the slot.
    ///
    /// `tokens` is the number of tokens attributed. If the slot turns out to be empty, the lease of
    /// the attempt ends, so that the slot can be leased again.
    pub async fn complete(self, at: &AttemptAt, tokens: u64) -> Result<(), Error> {
        let open = self.0.state.read(|state| {
            let job = state.job(&at.job)?;
            // A split slot is looked at even if the split is known: it may have been seen while the
            // attempt was still filling the slots below it.
            let is_filled = matches!(job.slot(&at.slot), Some(SlotState::Filled(_)));
            Ok::<_, Error>((!is_filled).then(|| job.table().to_owned()))
        })?;
        let Some(table) = open else {
            return Ok(());
        };
        let mut events = self.find(at, &table, tokens).await?;
        if events.is_empty() {
            tracing::warn!("a reported result is not in the store");
            events.push(Event::Unseen {
                slot: at.slot.clone(),
                attempt: at.attempt.clone(),
                num_workers: self.0.state.read(|state| state.workers.num_there()),
            });
        }
        self.apply_all(&at.job, events);
        Ok(())
    }

    /// Looks for what a worker reported. Looks again if nothing is there: a network file system may show
    /// a new file late.
    async fn find(self, at: &AttemptAt, table: &str, tokens: u64) -> Result<Vec<Event>, Error> {
        let store = self.0.store.as_ref();
        for pause in LOOKS_AGAIN {
            let events = seen_below(store, table, &at.slot, tokens).await?;
            if !events.is_empty() {
                return Ok(events);
            }
            tokio::time::sleep(pause).await;
        }
        Ok(seen_below(store, table, &at.slot, tokens).await?)
    }

    /// Handles a worker's report that an attempt failed. Ignores it unless the worker holds the
    /// attempt's lease: what counts against a slot, and is written down, comes from those who tried.
    ///
    /// The failure is first recorded in the store, so that it still counts against the slot after a
    /// restart. Transient failures are not recorded, because they do not count.
    pub async fn fail(
        self,
        at: &AttemptAt,
        worker: &WorkerId,
        class: FailureClass,
        message: String,
    ) -> Result<(), Error> {
        if !self.holds(worker, at) {
            tracing::warn!(%worker, "ignored a failure without a lease");
            return Ok(());
        }
        tracing::warn!(%worker, ?class, message, "attempt failed");
        let too_little = match class {
            FailureClass::OutOfMemory => self.too_little(&at.job, worker),
            _ => None,
        };
        let failure = Failure {
            slot: at.slot.clone(),
            attempt: at.attempt.clone(),
            worker: worker.clone(),
            class,
            message,
        };
        if class != FailureClass::Transient && too_little.is_none() {
            match record(self.0, &at.job, &failure).await {
                Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                // A store that may not be written to is often why it failed. It counts until a restart.
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(job = %at.job, error, "a failure cannot be written down");
                }
                Ok(()) => {}
            }
        }
        self.0
            .state
            .change_if(|state| (state.count_failed(class), false));
        let event = match too_little {
            Some(memory) => Event::NeedsMemory(failure, memory),
            None => Event::Failed {
                failure,
                jitter: jitter(),
                num_workers: self.0.state.read(|state| state.workers.num_there()),
            },
        };
        self.apply(&at.job, event);
        Ok(())
    }

    /// Ends the job whose rows could not be read because of `error`, unless that may pass.
    ///
    /// A worker that tried again would fail again, and the rows that it got would not be those that
    /// were submitted.
    pub fn unreadable(self, job: &JobId, error: &Error) {
        if error.ends_job() {
            tracing::error!(error = chain(error), "the dataset changed, job ended");
            self.apply(job, Event::DatasetUnreadable(chain(error)));
        }
    }

    /// Ends the leases of attempts that a worker gives back unfinished.
    pub fn release(self, attempts: &[AttemptAt]) {
        for at in attempts {
            let event = Event::Released {
                slot: at.slot.clone(),
                attempt: at.attempt.clone(),
            };
            self.apply(&at.job, event);
        }
    }

    /// Returns the memory of `worker` if a worker with more is there for the job.
    fn too_little(self, job: &JobId, worker: &WorkerId) -> Option<u64> {
        self.0.state.read(|state| {
            let memory = state.workers.memory_of(worker)?;
            let job = state.jobs.get(job)?;
            let has_larger = (state.workers)
                .has_larger(memory, |worker, class| job.may_be_given_to(worker, class));
            has_larger.then_some(memory)
        })
    }

    /// Returns whether `worker` holds the lease of the attempt `at`.
    fn holds(self, worker: &WorkerId, at: &AttemptAt) -> bool {
        self.0.state.read(|state| {
            let job = state.jobs.get(&at.job);
            let lease = job.and_then(|job| job.lease_of(&at.slot, &at.attempt));
            lease.is_some_and(|lease| lease.worker == *worker)
        })
    }

    /// Applies events under one lock: between a split and a fill, a half that is already filled would
    /// look free and could be leased.
    fn apply_all(self, job: &JobId, events: Vec<Event>) {
        let now = self.0.clock.now();
        self.0.state.change(|state| {
            for event in events {
                state.apply(job, event, now);
            }
        });
    }

    fn apply(self, job: &JobId, event: Event) {
        let now = self.0.clock.now();
        self.0.state.change(|state| state.apply(job, event, now));
    }
}

/// Records a failed attempt in the store.
pub(crate) async fn record(core: &Core, job: &JobId, failure: &Failure) -> Result<(), Error> {
    let key = layout::failure(job, &failure.slot, &failure.attempt);
    let written = create_json(core.store.as_ref(), &key, failure).await;
    written.map(drop)
}

fn new_attempt() -> Attempt {
    Attempt::of(ulid::Ulid::new())
}

fn check_versions(registration: &Registration) -> Result<(), Error> {
    let (protocol, numerics) = (registration.protocol_version, registration.numerics_version);
    for (what, theirs, ours) in [
        ("protocol", protocol, whence_proto::PROTOCOL_VERSION),
        ("numerics", numerics, NUMERICS_VERSION),
    ] {
        if theirs != ours {
            return Err(Error::Worker {
                reason: format!(
                    "its {what} version is {theirs}, the coordinator's is {ours}; \
                     use the same release"
                ),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod scale;
#[cfg(test)]
mod tests;
