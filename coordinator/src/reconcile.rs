//! What the coordinator does unasked: ends lost leases, fills what no worker can, seals, looks.
//!
//! A pass that fails is repeated with the next tick: everything here only makes things stand that
//! may stand already.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use whence_schemas::store::{Created, Listed, SlotStore};
use whence_schemas::{Attempt, JobId, SlotId, layout};

use crate::Error;
use crate::config::Scope;
use crate::coordinator::Coordinator;
use crate::dataset;
use crate::durable::manifest::Manifest;
use crate::durable::recover::{self, Failed};
use crate::durable::{Author, create_json, epoch, inspect, quarantine, tombstone, unread_rows};
use crate::job::{Due, Event, Failure, FailureClass, Job, Phase};

impl Coordinator {
    /// Reconciles the jobs with the store until `shutdown`. Fails if a newer coordinator serves the root.
    pub async fn reconcile(&self, shutdown: CancellationToken) -> Result<(), Error> {
        let mut changes = self.changes();
        let mut next_poll = Instant::now() + self.config.poll_interval;
        loop {
            changes.mark_unchanged();
            self.expire().await;
            if let Err(error) = self.write_due().await {
                tracing::warn!(error = %error.chain(), "the store did not take what is due, trying again");
            }
            if Instant::now() >= next_poll {
                match self.poll_store().await {
                    Err(error @ Error::SteppedDown { .. }) => return Err(error),
                    Err(error) => {
                        tracing::warn!(error = %error.chain(), "the store could not be looked at");
                    }
                    Ok(()) => {}
                }
                next_poll = Instant::now() + self.config.poll_interval;
            }
            let tick = Instant::now() + self.config.heartbeat_interval / 2;
            tokio::select! {
                () = Self::changed(&mut changes, tick.min(next_poll)) => {}
                () = shutdown.cancelled() => return Ok(()),
            }
        }
    }

    /// Ends the leases whose workers vanished, and forgets those workers.
    async fn expire(&self) {
        let now = self.clock.now();
        let silence = self.config.lease_ttl * 2;
        let (lost, anything): (Vec<(JobId, Failure)>, bool) = {
            let mut state = self.state();
            let workers = state.workers.len();
            state.workers.retain(|_, seen| now.since(*seen) < silence);
            let gone = state.workers.len() != workers;
            let lost = state.jobs.iter_mut().flat_map(|(id, job)| {
                let lost = job.apply(Event::Tick, now);
                lost.into_iter().map(|failure| (id.clone(), failure))
            });
            let lost: Vec<_> = lost.collect();
            let anything = gone || !lost.is_empty();
            (lost, anything)
        };
        for (job, failure) in lost {
            tracing::warn!(%job, slot = %failure.slot, worker = %failure.worker, "lease expired");
            if let Err(error) = self.record(&job, &failure).await {
                // Only the memory of it across a restart is lost.
                tracing::warn!(%job, error = %error.chain(), "a lost attempt could not be written down");
            }
        }
        if anything {
            self.change(|_| ());
        }
    }

    /// Writes every object that is due.
    async fn write_due(&self) -> Result<(), Error> {
        let due: Vec<(JobId, Due)> = {
            let state = self.state();
            let of_job = |job: &Job| {
                job.due()
                    .into_iter()
                    .map(|due| (job.id().clone(), due))
                    .collect::<Vec<_>>()
            };
            state.jobs.values().flat_map(of_job).collect()
        };
        for (job, due) in due {
            let event = match due {
                Due::Split(slot) => self.split(&job, slot).await?,
                Due::Quarantine {
                    slot,
                    class,
                    message,
                } => self.quarantine(&job, slot, class, &message).await?,
                Due::Seal => self.seal(&job).await?,
                Due::Fail(message) => self.record_failed(&job, message).await?,
            };
            self.apply(&job, event);
        }
        Ok(())
    }

    async fn split(&self, job: &JobId, slot: SlotId) -> Result<Event, Error> {
        let (spec, table) = self.job_of(job)?;
        let attempt = Attempt::of(ulid::Ulid::new());
        let author = Author {
            spec: &spec,
            slot: &slot,
            attempt: &attempt,
            epoch: self.epoch,
        };
        let bytes = tombstone(author)?;
        tracing::info!(%job, %slot, "splitting slot");
        fill(self.store.as_ref(), &table, &slot, bytes).await
    }

    async fn quarantine(
        &self,
        job: &JobId,
        slot: SlotId,
        class: FailureClass,
        message: &str,
    ) -> Result<Event, Error> {
        let (spec, table) = self.job_of(job)?;
        let plan = {
            let state = self.state();
            let job = state
                .jobs
                .get(job)
                .ok_or_else(|| Error::UnknownJob(job.clone()))?;
            Arc::clone(job.plan())
        };
        let (dataset, of_slot) = (spec.dataset.clone(), slot.clone());
        let attribution = spec.attribution.clone();
        let reading = {
            let plan = Arc::clone(&plan);
            move || {
                let rows = dataset::read_rows(&dataset, &plan, &of_slot)?;
                rows.for_attribution(&attribution).next_batch()
            }
        };
        let read = tokio::task::spawn_blocking(reading).await;
        let rows = match read {
            Ok(Ok(Some(rows))) => rows,
            _ => unread_rows(&spec, plan.rows(&slot).unwrap_or_default())?,
        };
        let attempt = Attempt::of(ulid::Ulid::new());
        let author = Author {
            spec: &spec,
            slot: &slot,
            attempt: &attempt,
            epoch: self.epoch,
        };
        let bytes = quarantine(author, &rows, class, message)?;
        tracing::warn!(%job, %slot, message, "row given up");
        fill(self.store.as_ref(), &table, &slot, bytes).await
    }

    async fn seal(&self, id: &JobId) -> Result<Event, Error> {
        let manifest = {
            let state = self.state();
            let job = state
                .jobs
                .get(id)
                .ok_or_else(|| Error::UnknownJob(id.clone()))?;
            Manifest::of(job)
        };
        create_json(self.store.as_ref(), &layout::sealed(id), &manifest).await?;
        tracing::info!(job = %id, rows = manifest.rows, errors = manifest.errors, "job sealed");
        Ok(Event::Sealed)
    }

    async fn record_failed(&self, id: &JobId, message: String) -> Result<Event, Error> {
        let failed = Failed {
            message: message.clone(),
        };
        create_json(self.store.as_ref(), &layout::failed(id), &failed).await?;
        tracing::error!(job = %id, message, "job failed");
        Ok(Event::FoundFailed(message))
    }

    /// Looks for a newer coordinator, and for commits and cancellations nobody told us of.
    async fn poll_store(&self) -> Result<(), Error> {
        let newest = epoch::newest(self.store.as_ref()).await?;
        if newest > self.epoch && self.config.scope == Scope::Root {
            self.change(|state| state.newer = Some(newest));
            return self.serving();
        }
        let running: Vec<(JobId, String)> = {
            let state = self.state();
            let is_running = |job: &&Job| *job.phase() == Phase::Running;
            state
                .jobs
                .values()
                .filter(is_running)
                .map(|job| (job.id().clone(), job.table().to_owned()))
                .collect()
        };
        for (id, table) in running {
            let listed = self.store.list(&table).await?;
            let unread = self
                .state()
                .jobs
                .get(&id)
                .map(|job| recover::unread_slots(job, listed));
            for event in
                recover::read_slots(self.store.as_ref(), unread.unwrap_or_default()).await?
            {
                self.apply(&id, event);
            }
            if self.store.head(&layout::cancel(&id)).await?.is_some() {
                self.apply(&id, Event::Cancelled);
            }
        }
        Ok(())
    }

    fn job_of(&self, id: &JobId) -> Result<(Arc<whence_schemas::JobSpec>, String), Error> {
        let state = self.state();
        let job = state
            .jobs
            .get(id)
            .ok_or_else(|| Error::UnknownJob(id.clone()))?;
        Ok((Arc::clone(job.spec()), job.table().to_owned()))
    }
}

/// Tries to fill a slot. Returns what stands in it then, whoever came first.
async fn fill(
    store: &dyn SlotStore,
    table: &str,
    slot: &SlotId,
    bytes: bytes::Bytes,
) -> Result<Event, Error> {
    let key = layout::slot(table, slot);
    let length = bytes.len() as u64;
    let created = store.create(&key, bytes).await?;
    let object = Listed {
        key: key.clone(),
        bytes: length,
    };
    let object = match created {
        Created::Now => object,
        Created::Already => store.head(&key).await?.unwrap_or(object),
    };
    Ok(inspect(store, &object).await?.seen_in(slot.clone(), 0))
}
