//! The coordinator's interface for people: submit, watch, list and cancel jobs.

use std::sync::Arc;

use futures::stream::{self, Stream};
use tokio::sync::watch;
use whence_schemas::store::Created;
use whence_schemas::{CrashPoint, JobId, JobSpec, layout};

use crate::Error;
use crate::access::Caller;
use crate::admission;
use crate::core::Core;
use crate::durable::recover::{self, Submitted};
use crate::durable::{create_json, pauses};
use crate::job::{Event, Phase};
use crate::looking_up;
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
        self.submit_by(spec, &Caller::default()).await
    }

    /// Submits a job as [`Jobs::submit`] does, in the name of a caller. A paused job goes on.
    ///
    /// Fails, too, if the job is not within the bounds of the caller's tenant, or if another tenant has
    /// submitted the same job.
    pub async fn submit_by(self, spec: JobSpec, caller: &Caller) -> Result<(JobId, bool), Error> {
        self.0.serving()?;
        let bounds = self.0.config.tenancy.bounds(caller.tenant.as_ref());
        admission::check(&spec, &self.0.config.allowed, &bounds)?;
        let id = spec.id();
        self.look_up(&id).await?;
        let is_known = self.0.state.read(|state| state.jobs.contains_key(&id));
        let mut existed = true;
        if !is_known {
            existed = self.write_job(&id, spec, caller, bounds.most_rows).await?;
            self.resume(&id).await?;
        }
        self.check_is_own(&id, caller)?;
        self.resubmit(&id)?;
        if self.summary(&id)?.is_paused {
            self.set_paused(&id, false).await?;
        }
        tracing::info!(job = %id, existed, "job submitted");
        Ok((id, existed))
    }

    /// Fails if another tenant has submitted the job.
    fn check_is_own(self, id: &JobId, caller: &Caller) -> Result<(), Error> {
        let visible = self.0.state.read(|state| state.check_visible(id, caller));
        visible.map_err(|_| Error::Specification {
            reason: "another team has submitted the same job; give it a `--run-id` of your own"
                .to_owned(),
        })
    }

    /// Submits the job that computes the failed rows of the sealed job `id` again. Returns its id, and
    /// whether it had been submitted before.
    ///
    /// Fails with [`Error::Retry`] if the job is not sealed or has no failed rows, and with
    /// [`Error::Stored`] if one of its table files is damaged.
    pub async fn retry(self, id: &JobId) -> Result<(JobId, bool), Error> {
        self.0.serving()?;
        self.look_up(id).await?;
        let store = self.0.store.as_ref();
        let next = retry::next_job(store, id).await?;
        let retry = next.id();
        self.look_up(&retry).await?;
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
        admission::check_numerics(job.spec())?;
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
    async fn write_job(
        self,
        id: &JobId,
        spec: JobSpec,
        caller: &Caller,
        most_rows: Option<u64>,
    ) -> Result<bool, Error> {
        let store = self.0.store.as_ref();
        if store.head(&layout::spec(id)).await?.is_some() {
            return Ok(true);
        }
        admission::check_is_no_retry(&spec)?;
        let plan = plan(&spec).await?;
        admission::check_rows(plan.num_rows(), most_rows)?;
        create_json(store, &layout::plan(id), &plan).await?;
        CrashPoint::CoordinatorPlanned.pass();
        create_json(
            store,
            &layout::submitted(id),
            &Submitted::now_by(caller.tenant.as_ref()),
        )
        .await?;
        CrashPoint::CoordinatorBeforeSpec.pass();
        let created = create_json(store, &layout::spec(id), &spec).await?;
        CrashPoint::CoordinatorAfterSpec.pass();
        Ok(created == Created::Already)
    }

    /// Makes a job known that ended before this coordinator started. Does nothing if it is known, or if
    /// there is no such job.
    pub async fn look_up(self, id: &JobId) -> Result<(), Error> {
        looking_up::read(self.0, id).await
    }

    /// Returns the status of a job. Fails if the job is unknown; see [`Jobs::look_up`].
    pub fn summary(self, id: &JobId) -> Result<JobSummary, Error> {
        self.0.state.read(|state| state.summary(id))
    }

    /// Returns a job's specification. Fails if the job is unknown.
    pub fn spec(self, id: &JobId) -> Result<Arc<JobSpec>, Error> {
        let spec = |state: &crate::state::State| Ok(Arc::clone(state.job(id)?.spec()));
        self.0.state.read(spec)
    }

    /// Returns the status of every job that `caller` may see, newest first.
    pub async fn list(self, caller: &Caller) -> Result<Vec<JobSummary>, Error> {
        looking_up::read_all(self.0).await?;
        Ok(self.0.state.read(|state| state.summaries(caller)))
    }

    /// Fails with [`Error::UnknownJob`] if there is no such job, or `caller` may not see it.
    pub async fn check_visible(self, id: &JobId, caller: &Caller) -> Result<(), Error> {
        self.look_up(id).await?;
        self.0.state.read(|state| state.check_visible(id, caller))
    }

    /// Pauses a running job, or lets it go on. What is leased is finished, and nothing else is leased
    /// while the job is paused, also after a restart. Fails if the job has ended.
    pub async fn pause(self, id: &JobId, is_paused: bool) -> Result<JobSummary, Error> {
        self.0.serving()?;
        self.look_up(id).await?;
        let how = match self.summary(id)?.phase {
            Phase::Running => None,
            Phase::Sealed => Some("is complete".to_owned()),
            Phase::Cancelled => Some("was cancelled".to_owned()),
            Phase::Failed { message, .. } => Some(format!("failed: {message}")),
        };
        if let Some(how) = how {
            let job = id.clone();
            return Err(Error::NotRunning { job, how });
        }
        self.set_paused(id, is_paused).await?;
        self.summary(id)
    }

    async fn set_paused(self, id: &JobId, is_paused: bool) -> Result<(), Error> {
        pauses::set(self.0.store.as_ref(), id, is_paused).await?;
        let now = self.0.clock.now();
        let event = Event::Paused(is_paused);
        self.0.state.change(|state| state.apply(id, event, now));
        Ok(())
    }

    /// Cancels a job, unless it is already sealed. No more slots are leased; filled slots are kept.
    pub async fn cancel(self, id: &JobId) -> Result<JobSummary, Error> {
        self.0.serving()?;
        self.look_up(id).await?;
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
