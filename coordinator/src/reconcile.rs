//! The coordinator's background work: expires leases, writes due objects and polls the store.
//!
//! A pass that fails is repeated at the next tick. That is safe because every write only creates an
//! object, and does nothing if the object already exists.

use std::convert::Infallible;

use futures::{StreamExt, stream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use whence_schemas::store::Created;
use whence_schemas::{CrashPoint, ErrorKind, JobId, SlotId, chain, layout};

use crate::Error;
use crate::closing::Closer;
use crate::config::Scope;
use crate::core::Core;
use crate::dispatch::record;
use crate::durable::manifest::Manifest;
use crate::durable::recover::{self, Failed};
use crate::durable::{self, Expected, Found, SlotObject, create_json, epoch, get_json, pauses};
use crate::job::{Due, Event, Job, SlotState};
use crate::looking_up;
use crate::scheduling::Scheduling;
use crate::shared::changed;
use crate::state::State;

/// A worker is forgotten once it has been silent for this many lease lifetimes. Its leases ended
/// one lifetime earlier.
const FORGET_AFTER_TTLS: u32 = 2;
/// Objects read whole at the same time. Each may have some hundred MiB.
const VERIFIED_AT_ONCE: usize = 4;

/// The coordinator's background work.
#[derive(Debug, Clone, Copy)]
pub struct Reconciler<'c>(&'c Core);

impl<'c> Reconciler<'c> {
    pub(crate) fn new(core: &'c Core) -> Self {
        Self(core)
    }

    /// Keeps jobs and store in step until `shutdown`.
    ///
    /// A pass runs after every change of the state, and at least twice per heartbeat interval.
    /// Fails only if a newer coordinator serves the root; other errors are logged and retried.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        tokio::select! {
            ended = self.keep_in_step(shutdown) => ended,
            never = self.read_archive() => match never {},
            never = self.follow_schedules() => match never {},
        }
    }

    /// Submits the jobs of schedules, if this is the root's own coordinator.
    async fn follow_schedules(self) -> Infallible {
        match self.0.config.scope {
            Scope::Root => Box::pin(Scheduling::new(self.0).run()).await,
            Scope::Submitted => std::future::pending().await,
        }
    }

    /// Reads the jobs that had ended before the coordinator started, and then does nothing.
    async fn read_archive(self) -> Infallible {
        while let Err(error) = looking_up::read_all(self.0).await {
            tracing::warn!(
                error = chain(&error),
                "ended jobs could not be read, trying again"
            );
            tokio::time::sleep(self.0.config.poll_interval).await;
        }
        std::future::pending().await
    }

    async fn keep_in_step(self, shutdown: CancellationToken) -> Result<(), Error> {
        let config = &self.0.config;
        let mut changes = self.0.state.changes();
        let mut next_poll = Instant::now() + config.poll_interval;
        let mut unread = None;
        loop {
            changes.mark_unchanged();
            self.expire().await;
            let unwritten =
                self.write_due().await.err().map(|error| {
                    fault_of(&error, "the store did not take what is due, trying again")
                });
            if Instant::now() >= next_poll {
                unread = match self.poll_store().await {
                    Err(error @ Error::SteppedDown { .. }) => return Err(error),
                    polled => polled
                        .err()
                        .map(|error| fault_of(&error, "the store could not be polled")),
                };
                next_poll = Instant::now() + config.poll_interval;
            }
            // Nobody waits for this, so nobody is woken.
            let fault = unwritten.or_else(|| unread.clone());
            self.0
                .state
                .change_if(|state| (state.store_fault = fault, false));
            // Leases expire without an event, so they must be checked regularly.
            let tick = Instant::now() + config.heartbeat_interval / 2;
            tokio::select! {
                () = changed(&mut changes, tick.min(next_poll)) => {}
                () = shutdown.cancelled() => return Ok(()),
            }
        }
    }

    /// Ends the leases of vanished or stuck attempts, and forgets workers that stay silent.
    async fn expire(self) {
        let now = self.0.clock.now();
        let silence = self.0.config.lease_ttl.saturating_mul(FORGET_AFTER_TTLS);
        let expired = self.0.state.change_if(|state| {
            let expired = state.expire(now, silence);
            let is_any = expired.is_any;
            (expired, is_any)
        });
        for (job, failure) in expired.lost {
            tracing::warn!(%job, slot = %failure.slot, worker = %failure.worker, "lease expired");
            if let Err(error) = record(self.0, &job, &failure).await {
                // The loss still counts until a restart, so it is not worth failing for.
                tracing::warn!(%job, error = chain(&error), "a lost attempt could not be written down");
            }
        }
    }

    /// Writes every object that is due. What goes wrong with one job does not hold up the others.
    ///
    /// Fails if the store does not answer, because it would not answer for the next object either.
    async fn write_due(self) -> Result<(), Error> {
        let mut unread = Vec::new();
        let now = self.0.clock.now();
        for (job, due) in self.0.state.read(|state| state.due(now)) {
            if let Due::Verify(slot) = due {
                unread.push((job, slot));
                continue;
            }
            let written = self.write(&job, due).await;
            self.apply_or_tell(&job, written)?;
        }
        self.verify_all(unread).await
    }

    /// Writes one object that is due. Returns the event for what then is in the store.
    async fn write(self, job: &JobId, due: Due) -> Result<Event, Error> {
        match due {
            Due::Split(slot) => Closer::new(self.0, job)?.split(slot).await,
            Due::Quarantine {
                slot,
                class,
                message,
            } => {
                let closer = Closer::new(self.0, job)?;
                closer.quarantine(slot, class, message).await
            }
            Due::Verify(slot) => self.verify(job, slot).await,
            Due::Seal => self.seal(job).await,
            Due::Fail(message) => self.record_failed(job, message).await,
        }
    }

    /// Applies an event to a job, or logs why there is none. Fails if the store does not answer.
    fn apply_or_tell(self, job: &JobId, event: Result<Event, Error>) -> Result<(), Error> {
        match event {
            Ok(event) => self.apply(job, event),
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
            Err(error) => {
                let error = chain(&error);
                tracing::error!(%job, error, "what is due cannot be done, trying again");
            }
        }
        Ok(())
    }

    /// Does what is due, in a test.
    #[cfg(test)]
    pub(crate) async fn write_due_now(self) {
        self.write_due().await.expect("the store works");
    }

    /// Reads the objects of slots that were adopted by their footers alone.
    async fn verify_all(self, slots: Vec<(JobId, SlotId)>) -> Result<(), Error> {
        let reads = slots
            .into_iter()
            .map(|(job, slot)| async move { (self.verify(&job, slot).await, job) });
        let mut reads = stream::iter(reads).buffer_unordered(VERIFIED_AT_ONCE);
        while let Some((event, job)) = reads.next().await {
            self.apply_or_tell(&job, event)?;
        }
        Ok(())
    }

    /// Reads the object of a slot. Returns the event for what it is.
    async fn verify(self, id: &JobId, slot: SlotId) -> Result<Event, Error> {
        let (expected, is_split) = self.0.state.read(|state| {
            let job = state.job(id)?;
            let expected = Expected {
                key: layout::slot(job.table(), &slot),
                slot: slot.clone(),
                spec_json: job.spec().canonical_json(),
                rows: job.plan().rows(&slot).unwrap_or_default(),
                seen: job.slot(&slot).and_then(SlotObject::remembered),
            };
            let is_split = matches!(job.slot(&slot), Some(SlotState::Split { .. }));
            Ok::<_, Error>((expected, is_split))
        })?;
        Ok(
            match durable::verify(self.0.store.as_ref(), expected).await? {
                Found::Whole(digest) => Event::Verified { slot, digest },
                Found::Damaged(reason) => Event::Damaged { slot, reason },
                Found::Other(_) if is_split => Event::Damaged {
                    slot,
                    reason: "it has rows, and its slot was split".to_owned(),
                },
                // The halves of a split slot are filled already, or will be.
                Found::Nothing if is_split => Closer::new(self.0, id)?.split(slot).await?,
                // If there is another object, the next poll of the store sees what it is.
                Found::Nothing | Found::Other(_) => Event::Missing(slot),
            },
        )
    }

    /// Writes the manifest of a job whose slots are all filled.
    async fn seal(self, id: &JobId) -> Result<Event, Error> {
        let manifest = |state: &State| Ok::<_, Error>(Manifest::of(state.job(id)?));
        let manifest = self.0.state.read(manifest)?;
        CrashPoint::CoordinatorBeforeSeal.pass();
        let store = self.0.store.as_ref();
        let sealed = create_json(store, &layout::sealed(id), &manifest).await?;
        if sealed == Created::Already {
            // Another process of the job sealed it first, with the same files unless there is a bug.
            let found: Option<Manifest> = get_json(store, &layout::sealed(id)).await?;
            if found.as_ref() != Some(&manifest) {
                tracing::error!(job = %id, "the job is sealed with other files; run `whence verify`");
            }
        }
        CrashPoint::CoordinatorAfterSeal.pass();
        tracing::info!(job = %id, rows = manifest.rows, errors = manifest.errors, "job sealed");
        Ok(Event::Sealed)
    }

    /// Writes the record that a job failed for good.
    async fn record_failed(self, id: &JobId, message: String) -> Result<Event, Error> {
        let failed = Failed {
            message: message.clone(),
        };
        tracing::error!(job = %id, message, "job failed");
        match create_json(self.0.store.as_ref(), &layout::failed(id), &failed).await {
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
            // A store that may not be written to is often why the job failed. It ends here all the same.
            Err(error) => {
                let error = chain(&error);
                tracing::error!(job = %id, error, "that the job failed cannot be written down");
            }
            Ok(_) => {}
        }
        Ok(Event::FoundFailed(message))
    }

    /// Looks in the store for a newer coordinator, and for commits and cancellations that were not
    /// reported to this one.
    async fn poll_store(self) -> Result<(), Error> {
        let store = self.0.store.as_ref();
        let newest = epoch::newest(store).await?;
        // With `Scope::Submitted`, other coordinators may serve the root's other jobs.
        if newest > self.0.epoch && self.0.config.scope == Scope::Root {
            self.0.state.change(|state| state.newer = Some(newest));
            return self.0.serving();
        }
        for (id, table) in self.0.state.read(State::running) {
            let seen = async {
                self.see_slots(&id, &table).await?;
                self.see_end(&id, &table).await
            };
            match seen.await {
                Err(error) if error.kind() != ErrorKind::Unavailable => {
                    let error = chain(&error);
                    tracing::error!(job = %id, error, "the job's objects cannot be read");
                }
                seen => seen?,
            }
        }
        Ok(())
    }

    /// Looks for filled and split slots of a job that nobody reported.
    async fn see_slots(self, id: &JobId, table: &str) -> Result<(), Error> {
        let store = self.0.store.as_ref();
        let listed = store.list(table).await?;
        let unread = self.0.state.read(|state| {
            let job = state.job(id).ok();
            job.map(|job: &Job| recover::unread_slots(job, listed))
        });
        for event in recover::read_slots(store, unread.unwrap_or_default()).await? {
            self.apply(id, event);
        }
        Ok(())
    }

    /// Looks whether others have ended a job: canceled it, or, if they serve it too, sealed it or given
    /// it up.
    async fn see_end(self, id: &JobId, table: &str) -> Result<(), Error> {
        let store = self.0.store.as_ref();
        if store.head(&layout::cancel(id)).await?.is_some() {
            self.apply(id, Event::Cancelled);
        }
        if self.0.config.share.is_none() {
            return Ok(());
        }
        let pauses = store.list(&layout::pauses(id)).await?;
        let is_paused = pauses::is_paused(store, id, &pauses).await?;
        self.apply(id, Event::Paused(is_paused));
        if store.head(&layout::sealed(id)).await?.is_some() {
            // The last slots may have been filled after they were looked for.
            self.see_slots(id, table).await?;
            self.apply(id, Event::Sealed);
        } else if let Some(failed) = get_json::<Failed>(store, &layout::failed(id)).await? {
            self.apply(id, Event::FoundFailed(failed.message));
        }
        Ok(())
    }

    fn apply(self, job: &JobId, event: Event) {
        let now = self.0.clock.now();
        self.0.state.change(|state| state.apply(job, event, now));
    }
}

/// Logs what is wrong with the store, and returns it for whoever asks how the coordinator is.
fn fault_of(error: &Error, told: &str) -> String {
    let fault = chain(error);
    tracing::warn!(error = fault, "{told}");
    fault
}

#[cfg(test)]
mod tests;
