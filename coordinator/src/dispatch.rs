//! What workers ask of the coordinator.
//!
//! Every call names the attempt it speaks of and may be repeated, late or out of order. What a
//! worker says of a slot is a hint to look; what stands in the slot is what counts.

use std::time::Duration;

use whence_schemas::job::NUMERICS_VERSION;
use whence_schemas::{Attempt, JobId, JobSpec, SlotId, WorkerId, canonical, layout};

use crate::Error;
use crate::coordinator::{Coordinator, State};
use crate::dataset::{self, ShardRows};
use crate::durable::{create_json, inspect};
use crate::job::scheduler::{self, Request};
use crate::job::{Event, Failure, FailureClass, Phase, SlotState};

/// Names one attempt at one slot of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptAt {
    /// The job.
    pub job: JobId,
    /// The slot.
    pub slot: SlotId,
    /// The attempt.
    pub attempt: Attempt,
}

/// A slot handed to a worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Assigned {
    /// What it may fill, and in whose name.
    pub at: AttemptAt,
    /// The job's specification as canonical JSON.
    pub spec_json: String,
    /// Object name of the slot.
    pub slot_key: String,
    /// Rows of the slot.
    pub rows: u64,
}

/// How far an attempt is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptProgress {
    /// The attempt.
    pub at: AttemptAt,
    /// Rows done.
    pub rows_done: u64,
    /// Tokens done.
    pub tokens_done: u64,
}

/// What a worker says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its name.
    pub worker: WorkerId,
    /// Protocol it speaks.
    pub protocol_version: u32,
    /// Numerics of its engine.
    pub numerics_version: u32,
    /// Attempts it works on.
    pub in_flight: Vec<AttemptAt>,
}

/// What came of asking for slots.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Acquired {
    /// The slots.
    pub assigned: Vec<Assigned>,
    /// The coordinator is shutting down.
    pub is_draining: bool,
}

impl Coordinator {
    /// Takes a worker in. Returns the attempts it should stop.
    ///
    /// Fails if its protocol or its numbers are not ours.
    pub fn register(&self, registration: &Registration) -> Result<Vec<AttemptAt>, Error> {
        self.serving()?;
        let refuse = |what: &str, theirs: u32, ours: u32| Error::Worker {
            reason: format!(
                "its {what} version is {theirs}, the coordinator's is {ours}; use the same release"
            ),
        };
        let (theirs, ours) = (
            registration.protocol_version,
            whence_proto::PROTOCOL_VERSION,
        );
        if theirs != ours {
            return Err(refuse("protocol", theirs, ours));
        }
        if registration.numerics_version != NUMERICS_VERSION {
            return Err(refuse(
                "numerics",
                registration.numerics_version,
                NUMERICS_VERSION,
            ));
        }
        tracing::info!(worker = %registration.worker, "worker registered");
        let progress = registration.in_flight.iter().map(|at| AttemptProgress {
            at: at.clone(),
            rows_done: 0,
            tokens_done: 0,
        });
        Ok(self.renew(&registration.worker, &progress.collect::<Vec<_>>()))
    }

    /// Renews the leases of the attempts that `worker` makes, who need not be known. Returns those it
    /// should stop.
    pub fn heartbeat(
        &self,
        worker: &WorkerId,
        progress: &[AttemptProgress],
    ) -> Result<Vec<AttemptAt>, Error> {
        self.serving()?;
        Ok(self.renew(worker, progress))
    }

    fn renew(&self, worker: &WorkerId, progress: &[AttemptProgress]) -> Vec<AttemptAt> {
        let now = self.clock.now();
        self.change(|state| {
            state.workers.insert(worker.clone(), now);
            let is_wanted = |progress: &&AttemptProgress| {
                let Some(job) = state.jobs.get_mut(&progress.at.job) else {
                    return false;
                };
                let AttemptAt { slot, attempt, .. } = progress.at.clone();
                let event = Event::Renewed {
                    slot: slot.clone(),
                    attempt,
                    worker: worker.clone(),
                    rows_done: progress.rows_done,
                    tokens_done: progress.tokens_done,
                };
                job.apply(event, now);
                let is_open = !matches!(
                    job.slot(&slot),
                    None | Some(SlotState::Filled(_) | SlotState::Split { .. })
                );
                is_open && *job.phase() == Phase::Running
            };
            let (_, unwanted): (Vec<_>, Vec<_>) = progress.iter().partition(is_wanted);
            unwanted
                .into_iter()
                .map(|progress| progress.at.clone())
                .collect()
        })
    }

    /// Hands out slots; waits up to `wait` for the first.
    pub async fn acquire(&self, request: &Request, wait: Duration) -> Result<Acquired, Error> {
        let until = self.clock.now().after(wait);
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            match self.serving() {
                Err(Error::Draining) => {
                    return Ok(Acquired {
                        is_draining: true,
                        ..Acquired::default()
                    });
                }
                other => other?,
            }
            let now = self.clock.now();
            let assigned = self.assign(request);
            if !assigned.is_empty() || now >= until {
                return Ok(Acquired {
                    assigned,
                    is_draining: false,
                });
            }
            // A slot that rests becomes free without anything changing.
            let rested = self
                .state()
                .jobs
                .values()
                .filter_map(super::job::Job::next_pending)
                .filter(|at| *at > now)
                .min();
            let until = rested.map_or(until, |rested| rested.min(until));
            Self::changed(&mut changes, self.clock.instant(until)).await;
        }
    }

    fn assign(&self, request: &Request) -> Vec<Assigned> {
        let now = self.clock.now();
        let mut state = self.state();
        state.workers.insert(request.worker.clone(), now);
        let chosen = scheduler::assign(state.jobs.values(), request, now);
        if chosen.is_empty() {
            return Vec::new();
        }
        let lease = |chosen: scheduler::Assignment| lease(&mut state, chosen, &request.worker, now);
        let assigned = chosen.into_iter().filter_map(lease).collect();
        drop(state);
        self.change(|_| ());
        assigned
    }

    /// Opens the rows of a slot that is leased or was.
    pub fn rows(&self, at: &AttemptAt) -> Result<ShardRows, Error> {
        let (spec, plan) = {
            let state = self.state();
            let job = state
                .jobs
                .get(&at.job)
                .ok_or_else(|| Error::UnknownJob(at.job.clone()))?;
            if job.slot(&at.slot).is_none() {
                return Err(Error::UnknownSlot {
                    job: at.job.clone(),
                    slot: at.slot.to_string(),
                });
            }
            (
                std::sync::Arc::clone(job.spec()),
                std::sync::Arc::clone(job.plan()),
            )
        };
        let rows = dataset::read_rows(&spec.dataset, &plan, &at.slot)?;
        Ok(rows.for_attribution(&spec.attribution))
    }

    /// Hears that an attempt ended because its slot is filled, and looks. `tokens` were attributed.
    pub async fn complete(&self, at: &AttemptAt, tokens: u64) -> Result<(), Error> {
        let (table, is_open) = {
            let state = self.state();
            let job = state
                .jobs
                .get(&at.job)
                .ok_or_else(|| Error::UnknownJob(at.job.clone()))?;
            let is_filled = matches!(
                job.slot(&at.slot),
                Some(SlotState::Filled(_) | SlotState::Split { .. })
            );
            (job.table().to_owned(), !is_filled)
        };
        if !is_open {
            return Ok(());
        }
        let event = match self.store.head(&layout::slot(&table, &at.slot)).await? {
            Some(object) => inspect(self.store.as_ref(), &object)
                .await?
                .seen_in(at.slot.clone(), tokens),
            None => Event::Released {
                slot: at.slot.clone(),
                attempt: at.attempt.clone(),
            },
        };
        self.apply(&at.job, event);
        Ok(())
    }

    /// Hears that an attempt failed. What counts against the slot is written down first, so that a
    /// restart does not forget it.
    pub async fn fail(
        &self,
        at: &AttemptAt,
        worker: &WorkerId,
        class: FailureClass,
        message: String,
    ) -> Result<(), Error> {
        tracing::warn!(job = %at.job, slot = %at.slot, %worker, ?class, message, "attempt failed");
        let failure = Failure {
            slot: at.slot.clone(),
            attempt: at.attempt.clone(),
            worker: worker.clone(),
            class,
            message,
        };
        if class != FailureClass::Transient {
            self.record(&at.job, &failure).await?;
        }
        let num_workers = self.state().workers.len();
        let event = Event::Failed {
            failure,
            jitter: jitter(),
            num_workers,
        };
        self.apply(&at.job, event);
        Ok(())
    }

    /// Writes a failure down.
    pub(crate) async fn record(&self, job: &JobId, failure: &Failure) -> Result<(), Error> {
        let key = layout::failure(job, &failure.slot, &failure.attempt);
        create_json(self.store.as_ref(), &key, failure)
            .await
            .map(drop)
    }

    /// Takes attempts back unfinished.
    pub fn release(&self, attempts: &[AttemptAt]) {
        for at in attempts {
            let event = Event::Released {
                slot: at.slot.clone(),
                attempt: at.attempt.clone(),
            };
            self.apply(&at.job, event);
        }
    }
}

/// Leases a chosen slot under a new attempt.
fn lease(
    state: &mut State,
    chosen: scheduler::Assignment,
    worker: &WorkerId,
    now: crate::job::Timestamp,
) -> Option<Assigned> {
    let job = state.jobs.get_mut(&chosen.job)?;
    let attempt = Attempt::of(ulid::Ulid::new());
    let event = Event::Leased {
        slot: chosen.slot.clone(),
        attempt: attempt.clone(),
        worker: worker.clone(),
    };
    job.apply(event, now);
    let rows = job.plan().rows(&chosen.slot)?;
    Some(Assigned {
        spec_json: canonical_json(job.spec()),
        slot_key: layout::slot(job.table(), &chosen.slot),
        rows: rows.end - rows.start,
        at: AttemptAt {
            job: chosen.job,
            slot: chosen.slot,
            attempt,
        },
    })
}

fn canonical_json(spec: &JobSpec) -> String {
    canonical::to_string(spec).expect("a specification holds only what JSON can")
}

/// Returns a number in `0..1` that differs from call to call: it spreads retries and decides nothing.
fn jitter() -> f64 {
    const STEPS: u128 = 1 << 20;
    (ulid::Ulid::new().random() % STEPS) as f64 / STEPS as f64
}
