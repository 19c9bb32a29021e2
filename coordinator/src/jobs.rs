//! The coordinator's interface for people: submit, watch, list and cancel jobs.

use std::sync::Arc;

use futures::stream::{self, Stream};
use tokio::sync::watch;
use whence_schemas::job::NUMERICS_VERSION;
use whence_schemas::store::Created;
use whence_schemas::{CrashPoint, JobId, JobSpec, layout};

use crate::Error;
use crate::access::places::{self, Place};
use crate::core::Core;
use crate::durable::create_json;
use crate::durable::recover::{self, Submitted};
use crate::job::{Event, Phase};
use crate::planning::plan;
use crate::retry;
use crate::state::JobSummary;

/// The coordinator's interface for people.
#[derive(Debug, Clone, Copy)]
pub struct Jobs<'c>(&'c Core);

impl<'c> Jobs<'c> {
    pub(crate) fn new(core: &'c Core) -> Self {
        Self(core)
    }

    /// Submits a job. Returns its id, and whether the same job had been submitted before.
    ///
    /// The id follows from the specification, so that submitting twice finds the same job. A job
    /// that failed for a reason that may pass, such as a model that could not be loaded, resumes.
    /// Fails if the specification cannot be served, the dataset cannot be read, or the job was
    /// canceled or failed for good.
    pub async fn submit(self, spec: JobSpec) -> Result<(JobId, bool), Error> {
        self.0.serving()?;
        check_numerics(&spec)?;
        check_is_computed(&spec)?;
        check_is_allowed(&spec, &self.0.config.allowed)?;
        let id = spec.id();
        if self.resubmit(&id)? {
            return Ok((id, true));
        }
        let existed = self.write_job(&id, spec).await?;
        self.resume(&id).await?;
        tracing::info!(job = %id, existed, "job submitted");
        Ok((id, existed))
    }

    /// Submits the job that computes the failed rows of the sealed job `id` again. Returns its id, and
    /// whether it had been submitted before.
    ///
    /// Fails with [`Error::Retry`] if the job is not sealed or has no failed rows, and with
    /// [`Error::Stored`] if one of its table files is damaged.
    pub async fn retry(self, id: &JobId) -> Result<(JobId, bool), Error> {
        self.0.serving()?;
        let store = self.0.store.as_ref();
        let next = retry::next_job(store, id).await?;
        let retry = next.id();
        if self.resubmit(&retry)? {
            return Ok((retry, true));
        }
        let existed = store.head(&layout::spec(&retry)).await?.is_some();
        if !existed {
            retry::write(store, id, &next, self.0.epoch).await?;
        }
        self.resume(&retry).await?;
        tracing::info!(job = %retry, of = %id, existed, "retry submitted");
        Ok((retry, existed))
    }

    /// Serves a job that is already in the store, perhaps submitted by another process.
    ///
    /// Fails with [`Error::UnknownJob`] if it is not there, and if it was canceled or failed for good.
    pub async fn resume(self, id: &JobId) -> Result<(), Error> {
        let Core {
            store,
            config,
            clock,
            state,
            ..
        } = self.0;
        let objects = store.list(&layout::job(id)).await?;
        let (rules, now) = (config.rules(), clock.now());
        let job = recover::job(store.as_ref(), id, &objects, rules, now).await?;
        let job = job.ok_or_else(|| Error::UnknownJob(id.clone()))?;
        check_numerics(job.spec())?;
        state.change(|state| {
            // Another request may have submitted the same job in the meantime; its state is kept.
            state.jobs.entry(id.clone()).or_insert(job);
        });
        // The job may have failed or been canceled before.
        self.resubmit(id)?;
        Ok(())
    }

    fn resubmit(self, id: &JobId) -> Result<bool, Error> {
        let now = self.0.clock.now();
        self.0.state.change(|state| state.resubmit(id, now))
    }

    /// Writes the plan and then the specification. Returns whether the specification existed.
    ///
    /// A job counts as submitted once its specification exists. The plan comes first, so that a
    /// crash between the two never leaves a submitted job without a plan.
    async fn write_job(self, id: &JobId, spec: JobSpec) -> Result<bool, Error> {
        let store = self.0.store.as_ref();
        if store.head(&layout::spec(id)).await?.is_some() {
            return Ok(true);
        }
        let plan = plan(&spec).await?;
        create_json(store, &layout::plan(id), &plan).await?;
        CrashPoint::CoordinatorPlanned.pass();
        create_json(store, &layout::submitted(id), &Submitted::now()).await?;
        CrashPoint::CoordinatorBeforeSpec.pass();
        let created = create_json(store, &layout::spec(id), &spec).await?;
        CrashPoint::CoordinatorAfterSpec.pass();
        Ok(created == Created::Already)
    }

    /// Returns the status of a job. Fails if the job is unknown.
    pub fn summary(self, id: &JobId) -> Result<JobSummary, Error> {
        self.0.state.read(|state| state.summary(id))
    }

    /// Returns a job's specification. Fails if the job is unknown.
    pub fn spec(self, id: &JobId) -> Result<Arc<JobSpec>, Error> {
        let spec = |state: &crate::state::State| Ok(Arc::clone(state.job(id)?.spec()));
        self.0.state.read(spec)
    }

    /// Returns the status of every job, newest first.
    pub fn list(self) -> Vec<JobSummary> {
        self.0.state.read(crate::state::State::summaries)
    }

    /// Cancels a job, unless it is already sealed. No more slots are leased; filled slots are kept.
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

/// Fails if the job names something outside the places that jobs may name. Says nothing about what is
/// there.
fn check_is_allowed(spec: &JobSpec, allowed: &[Place]) -> Result<(), Error> {
    let Some(name) = places::outside(spec, allowed) else {
        return Ok(());
    };
    Err(Error::Specification {
        reason: format!(
            "`{name}` is outside the places that jobs may name here (--allow of the coordinator)"
        ),
    })
}

/// Streams the status of a job: once immediately, then after each change, until the job ends.
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
    /// Waits for the next summary that differs from the last one.
    async fn next(&mut self) -> Result<JobSummary, Error> {
        loop {
            self.changes.mark_unchanged();
            let summary = Jobs::new(&self.core).summary(&self.id)?;
            if self.last.as_ref() != Some(&summary) {
                self.last = Some(summary.clone());
                return Ok(summary);
            }
            // This cannot fail: the stream keeps the coordinator alive, and with it the sender.
            let _ = self.changes.changed().await;
            // Combines changes that follow each other closely into one update.
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

/// Fails if the job's table is made of other tables, which no worker can do.
fn check_is_computed(spec: &JobSpec) -> Result<(), Error> {
    if spec.derived_from.is_none() {
        return Ok(());
    }
    Err(Error::Specification {
        reason: "its table is made of others, by `whence aggregate`; a coordinator cannot run it"
            .to_owned(),
    })
}
