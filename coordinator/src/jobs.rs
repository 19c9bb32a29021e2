//! What people ask of the coordinator: submit, watch, list, cancel.

use std::sync::Arc;

use futures::stream::{self, Stream};
use tokio::sync::watch;
use whence_schemas::job::NUMERICS_VERSION;
use whence_schemas::store::Created;
use whence_schemas::{JobId, JobSpec, Plan, layout};

use crate::Error;
use crate::blocking::blocking;
use crate::clock::Clock;
use crate::core::Core;
use crate::dataset::{self, Generated};
use crate::durable::create_json;
use crate::durable::recover::{self, Submitted};
use crate::job::{Event, Phase};
use crate::state::JobSummary;

/// What transformers generates where nobody says how much; for the estimate of a row's work.
const GENERATED_TOKENS: u64 = 20;

/// A coordinator as people ask it.
#[derive(Debug, Clone, Copy)]
pub struct Jobs<'c>(&'c Core);

impl<'c> Jobs<'c> {
    pub(crate) fn new(core: &'c Core) -> Self {
        Self(core)
    }

    /// Submits a job, or finds the one that is there. Returns its id and whether it was.
    ///
    /// A job that failed for want of a model resumes. Fails if the specification cannot be served,
    /// the dataset cannot be read, or the job ended without a result.
    pub async fn submit(self, spec: JobSpec) -> Result<(JobId, bool), Error> {
        let Core {
            store,
            config,
            clock,
            state,
            ..
        } = self.0;
        self.0.serving()?;
        check_numerics(&spec)?;
        let id = spec.id();
        if self.resubmit(&id)? {
            return Ok((id, true));
        }
        let existed = self.write_job(&id, spec).await?;
        let objects = store.list(&layout::job(&id)).await?;
        let (rules, now) = (config.lease_rules(), clock.now());
        let job = recover::job(store.as_ref(), &id, &objects, rules, now).await?;
        let job = job.ok_or_else(|| Error::Internal(format!("job `{id}` vanished")))?;
        state.change(|state| {
            state.jobs.entry(id.clone()).or_insert(job);
        });
        self.resubmit(&id)?;
        tracing::info!(job = %id, existed, "job submitted");
        Ok((id, existed))
    }

    fn resubmit(self, id: &JobId) -> Result<bool, Error> {
        let now = self.0.clock.now();
        self.0.state.change(|state| state.resubmit(id, now))
    }

    /// Writes plan and specification, in this order. Returns whether they were there before.
    async fn write_job(self, id: &JobId, spec: JobSpec) -> Result<bool, Error> {
        let store = self.0.store.as_ref();
        if store.head(&layout::spec(id)).await?.is_some() {
            return Ok(true);
        }
        let plan = plan(&spec).await?;
        create_json(store, &layout::plan(id), &plan).await?;
        let submitted = Submitted {
            at_ms: Clock::calendar_ms(),
        };
        create_json(store, &layout::submitted(id), &submitted).await?;
        Ok(create_json(store, &layout::spec(id), &spec).await? == Created::Already)
    }

    /// Returns how far a job is.
    pub fn summary(self, id: &JobId) -> Result<JobSummary, Error> {
        self.0.state.read(|state| state.summary(id))
    }

    /// Returns a job's specification.
    pub fn spec(self, id: &JobId) -> Result<Arc<JobSpec>, Error> {
        let spec = |state: &crate::state::State| Ok(Arc::clone(state.job(id)?.spec()));
        self.0.state.read(spec)
    }

    /// Returns how far every job is, the newest first.
    pub fn list(self) -> Vec<JobSummary> {
        self.0.state.read(crate::state::State::summaries)
    }

    /// Cancels a job: nothing of it is leased any more. Filled slots stay.
    pub async fn cancel(self, id: &JobId) -> Result<JobSummary, Error> {
        self.0.serving()?;
        if self.summary(id)?.phase != Phase::Sealed {
            let nothing = serde_json::json!({});
            create_json(self.0.store.as_ref(), &layout::cancel(id), &nothing).await?;
            let now = self.0.clock.now();
            let cancel = |state: &mut crate::state::State| state.apply(id, Event::Cancelled, now);
            self.0.state.change(cancel);
        }
        self.summary(id)
    }
}

/// Streams how far a job is: now and after each change, until it has ended.
pub(crate) fn watch(core: Arc<Core>, id: JobId) -> impl Stream<Item = Result<JobSummary, Error>> {
    let changes = core.state.changes();
    let watching = Watching {
        core,
        id,
        changes,
        last: None,
    };
    stream::unfold(Some(watching), |watching| async {
        let mut watching = watching?;
        match watching.next().await {
            Ok(summary) => {
                let is_over = summary.phase != Phase::Running;
                Some((Ok(summary), (!is_over).then_some(watching)))
            }
            Err(error) => Some((Err(error), None)),
        }
    })
}

struct Watching {
    core: Arc<Core>,
    id: JobId,
    changes: watch::Receiver<u64>,
    last: Option<JobSummary>,
}

impl Watching {
    /// Returns the next summary that differs from the last.
    async fn next(&mut self) -> Result<JobSummary, Error> {
        loop {
            self.changes.mark_unchanged();
            let summary = Jobs::new(&self.core).summary(&self.id)?;
            if self.last.as_ref() != Some(&summary) {
                self.last = Some(summary.clone());
                return Ok(summary);
            }
            // The sender lives in the coordinator, which this stream shares.
            let _ = self.changes.changed().await;
            tokio::time::sleep(self.core.config.watch_interval).await;
        }
    }
}

fn check_numerics(spec: &JobSpec) -> Result<(), Error> {
    if spec.numerics_version == NUMERICS_VERSION {
        return Ok(());
    }
    Err(Error::Specification {
        reason: format!(
            "it asks for numerics version {}, this coordinator serves {NUMERICS_VERSION}; \
             use the same release of whence on both sides",
            spec.numerics_version
        ),
    })
}

/// Reads a job's dataset, where blocking is allowed, and cuts it into shards.
async fn plan(spec: &JobSpec) -> Result<Plan, Error> {
    let (source, tokens) = (spec.dataset.clone(), spec.shard_tokens);
    let generated = generated(spec);
    let planned = move || dataset::plan(&source, tokens, generated);
    blocking("plan the job", planned).await
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
