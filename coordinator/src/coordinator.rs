//! The shell around the jobs: what people ask of the coordinator, and the state everything shares.
//!
//! Decisions are the [`Job`]'s; this file reads the store, tells the job what it saw, and answers.
//! The state sits behind one lock that is never held across an await. Nothing in it is worth saving:
//! a coordinator that starts anew finds everything in the store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use futures::stream::{self, Stream};
use tokio::sync::watch;
use tokio::time::Instant;
use whence_schemas::job::NUMERICS_VERSION;
use whence_schemas::store::{self, Created, SlotStore};
use whence_schemas::{Epoch, JobId, JobSpec, WorkerId, layout};

use crate::clock::Clock;
use crate::config::Scope;
use crate::dataset::Generated;
use crate::durable::recover::{self, Submitted};
use crate::durable::{create_json, epoch, root};
use crate::job::{Event, Job, Phase, Timestamp, Totals};
use crate::{Config, Error, dataset};

/// What transformers generates where nobody says how much; for the estimate of a row's work.
const GENERATED_TOKENS: u64 = 20;

/// A coordinator that serves one storage root.
#[derive(Debug)]
pub struct Coordinator {
    pub(crate) store: Arc<dyn SlotStore>,
    pub(crate) config: Config,
    pub(crate) epoch: Epoch,
    pub(crate) clock: Clock,
    state: Mutex<State>,
    /// Counts changes of the state; whoever waits for something waits for the next one.
    changes: watch::Sender<u64>,
}

/// What the coordinator knows.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) jobs: BTreeMap<JobId, Job>,
    /// When each worker was last heard of.
    pub(crate) workers: BTreeMap<WorkerId, Timestamp>,
    /// The epoch of a coordinator that came after us.
    pub(crate) newer: Option<Epoch>,
    /// Nothing is handed out any more.
    pub(crate) is_draining: bool,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The job.
    pub id: JobId,
    /// Where it stands.
    pub phase: Phase,
    /// Its counts.
    pub totals: Totals,
    /// Folder of its slots below the root.
    pub table: String,
    /// Workers there are.
    pub workers: u64,
    /// URL of the storage root.
    pub root: String,
}

impl Coordinator {
    /// Serves the storage root of `config`: checks the store, claims an epoch and finds the jobs if
    /// the root is its own.
    ///
    /// Fails if the store does not answer, cannot be trusted with slots, or has another layout.
    pub async fn start(config: Config) -> Result<Arc<Self>, Error> {
        let store = store::open(&config.store_url)?;
        root::check(store.as_ref()).await?;
        let claim = epoch::Claim {
            at_ms: Clock::calendar_ms(),
            process: std::process::id(),
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let clock = Clock::start();
        let (epoch, jobs) = match config.scope {
            Scope::Root => {
                let epoch = epoch::claim(store.as_ref(), &claim).await?;
                let rules = config.lease_rules();
                let jobs = recover::jobs(store.as_ref(), rules, clock.now()).await?;
                (epoch, jobs)
            }
            Scope::Submitted => (epoch::newest(store.as_ref()).await?, Vec::new()),
        };
        tracing::info!(%epoch, jobs = jobs.len(), root = store.url(), "serving");
        let state = State {
            jobs: jobs
                .into_iter()
                .map(|job| (job.id().clone(), job))
                .collect(),
            ..State::default()
        };
        Ok(Arc::new(Self {
            store,
            config,
            epoch,
            clock,
            state: Mutex::new(state),
            changes: watch::Sender::new(0),
        }))
    }

    /// Returns the URL of the storage root.
    pub fn store_url(&self) -> &str {
        self.store.url()
    }

    /// Submits a job, or finds the one that is there. Returns its id and whether it was.
    ///
    /// A job that failed for want of a model resumes. Fails if the specification cannot be served,
    /// the dataset cannot be read, or the job ended without a result.
    pub async fn submit(&self, spec: JobSpec) -> Result<(JobId, bool), Error> {
        self.serving()?;
        if spec.numerics_version != NUMERICS_VERSION {
            return Err(Error::Specification {
                reason: format!(
                    "it asks for numerics version {}, this coordinator serves {NUMERICS_VERSION}; \
                     use the same release of whence on both sides",
                    spec.numerics_version
                ),
            });
        }
        let id = spec.id();
        if let Some(found) = self.resubmit(&id)? {
            return Ok((found, true));
        }
        let existed = self.write_job(&id, spec).await?;
        let objects = self.store.list(&layout::job(&id)).await?;
        let (rules, now) = (self.config.lease_rules(), self.clock.now());
        let job = recover::job(self.store.as_ref(), &id, &objects, rules, now).await?;
        let job = job.ok_or_else(|| Error::Internal(format!("job `{id}` vanished")))?;
        self.change(|state| {
            state.jobs.entry(id.clone()).or_insert(job);
        });
        self.resubmit(&id)?;
        tracing::info!(job = %id, existed, "job submitted");
        Ok((id, existed))
    }

    /// Takes a job that is known up again. Returns its id if it is known.
    fn resubmit(&self, id: &JobId) -> Result<Option<JobId>, Error> {
        self.change(|state| {
            let Some(job) = state.jobs.get_mut(id) else {
                return Ok(None);
            };
            job.apply(Event::Resubmitted, self.clock.now());
            let ended = |how: String| Error::Ended {
                job: id.clone(),
                how,
            };
            match job.phase() {
                Phase::Running | Phase::Sealed => Ok(Some(id.clone())),
                Phase::Cancelled => Err(ended("was cancelled".to_owned())),
                Phase::Failed { message, .. } => Err(ended(format!("failed: {message}"))),
            }
        })
    }

    /// Makes plan and specification stand. Returns whether they did before.
    async fn write_job(&self, id: &JobId, spec: JobSpec) -> Result<bool, Error> {
        let store = self.store.as_ref();
        if store.head(&layout::spec(id)).await?.is_some() {
            return Ok(true);
        }
        let (source, tokens) = (spec.dataset.clone(), spec.shard_tokens);
        let generated = generated(&spec);
        let planned = move || dataset::plan(&source, tokens, generated);
        let plan = tokio::task::spawn_blocking(planned).await;
        let plan = plan.map_err(|error| Error::Internal(format!("plan job: {error}")))??;
        create_json(store, &layout::plan(id), &plan).await?;
        let submitted = Submitted {
            at_ms: Clock::calendar_ms(),
        };
        create_json(store, &layout::submitted(id), &submitted).await?;
        Ok(create_json(store, &layout::spec(id), &spec).await? == Created::Already)
    }

    /// Returns how far a job is.
    pub fn status(&self, id: &JobId) -> Result<Status, Error> {
        let state = self.state();
        let job = state
            .jobs
            .get(id)
            .ok_or_else(|| Error::UnknownJob(id.clone()))?;
        Ok(self.status_of(&state, job))
    }

    /// Returns a job's specification.
    pub fn spec(&self, id: &JobId) -> Result<Arc<JobSpec>, Error> {
        let state = self.state();
        let job = state
            .jobs
            .get(id)
            .ok_or_else(|| Error::UnknownJob(id.clone()))?;
        Ok(Arc::clone(job.spec()))
    }

    /// Returns how far every job is, the newest first.
    pub fn list(&self) -> Vec<Status> {
        let state = self.state();
        let mut jobs: Vec<_> = state.jobs.values().collect();
        jobs.sort_by_cached_key(|job| std::cmp::Reverse((job.order().0, job.id().clone())));
        jobs.into_iter()
            .map(|job| self.status_of(&state, job))
            .collect()
    }

    /// Cancels a job: nothing of it is leased any more. Filled slots stay.
    pub async fn cancel(&self, id: &JobId) -> Result<Status, Error> {
        self.serving()?;
        if self.status(id)?.phase != Phase::Sealed {
            create_json(
                self.store.as_ref(),
                &layout::cancel(id),
                &serde_json::json!({}),
            )
            .await?;
            self.apply(id, Event::Cancelled);
        }
        self.status(id)
    }

    /// Returns a job's status now and after each change, until it has ended.
    pub fn watch(self: Arc<Self>, id: JobId) -> impl Stream<Item = Result<Status, Error>> {
        let changes = self.changes.subscribe();
        stream::unfold(Some((self, id, changes, None)), |watching| async {
            let (coordinator, id, mut changes, mut last) = watching?;
            let interval = coordinator.config.watch_interval;
            loop {
                changes.mark_unchanged();
                let status = match coordinator.status(&id) {
                    Ok(status) => status,
                    Err(error) => return Some((Err(error), None)),
                };
                if last.as_ref() != Some(&status) {
                    last = Some(status.clone());
                    let is_over = status.phase != Phase::Running;
                    let next = (!is_over).then_some((coordinator, id, changes, last));
                    return Some((Ok(status), next));
                }
                // The sender lives in the coordinator, which this stream holds.
                let _ = changes.changed().await;
                tokio::time::sleep(interval).await;
            }
        })
    }

    fn status_of(&self, state: &State, job: &Job) -> Status {
        Status {
            id: job.id().clone(),
            phase: job.phase().clone(),
            totals: job.totals(),
            table: job.table().to_owned(),
            workers: state.workers.len() as u64,
            root: self.store.url().to_owned(),
        }
    }

    /// Hands out nothing any more and wakes whoever waits.
    pub fn drain(&self) {
        self.change(|state| state.is_draining = true);
    }

    /// Fails if this coordinator must not serve any more.
    pub(crate) fn serving(&self) -> Result<(), Error> {
        let state = self.state();
        match state.newer {
            Some(newer) => Err(Error::SteppedDown {
                ours: self.epoch,
                newer,
            }),
            None if state.is_draining => Err(Error::Draining),
            None => Ok(()),
        }
    }

    /// Locks the state, to look.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the state panics")
    }

    /// Changes the state and wakes whoever waits for a change.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state());
        self.changes.send_modify(|count| *count += 1);
        changed
    }

    /// Tells a job what happened, if there is such a job.
    pub(crate) fn apply(&self, id: &JobId, event: Event) {
        let now = self.clock.now();
        self.change(|state| {
            if let Some(job) = state.jobs.get_mut(id) {
                job.apply(event, now);
            }
        });
    }

    /// Returns what to wait with for the next change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Waits for a change after `changes` was last looked at, or until `until`.
    pub(crate) async fn changed(changes: &mut watch::Receiver<u64>, until: Instant) {
        // The sender lives as long as the coordinator, so only time or a change ends this.
        let _ = tokio::time::timeout_at(until, changes.changed()).await;
    }
}

/// Estimates what is generated for each row of a job.
fn generated(spec: &JobSpec) -> Generated {
    if spec.forces_targets() {
        return Generated::NOTHING;
    }
    let asked = spec.attribution.generation.max_new_tokens;
    Generated {
        tokens: asked.map_or(GENERATED_TOKENS, |tokens| tokens as u64),
        sequences: spec.num_samples() as u64,
    }
}
