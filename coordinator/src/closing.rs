//! Filling the slots that no worker could: with a tombstone, or with error rows.
//!
//! A worker may fill the slot in the same moment. Whoever comes first has filled it, and what is in
//! the slot afterwards is what counts.

use std::sync::Arc;

use bytes::Bytes;
use whence_schemas::store::{Created, Listed};
use whence_schemas::{Attempt, JobId, JobSpec, Plan, RowError, SlotId, layout};

use crate::blocking::blocking;
use crate::core::Core;
use crate::durable::{Author, inspect, quarantine, tombstone, unread_rows};
use crate::job::{Event, FailureClass};
use crate::{Error, dataset};

/// Fills the slots of one job.
pub(crate) struct Closer<'c> {
    core: &'c Core,
    job: &'c JobId,
    spec: Arc<JobSpec>,
    plan: Arc<Plan>,
    table: String,
}

impl<'c> Closer<'c> {
    /// Fails if there is no such job.
    pub(crate) fn new(core: &'c Core, id: &'c JobId) -> Result<Self, Error> {
        core.state.read(|state| {
            let job = state.job(id)?;
            Ok(Self {
                core,
                job: id,
                spec: Arc::clone(job.spec()),
                plan: Arc::clone(job.plan()),
                table: job.table().to_owned(),
            })
        })
    }

    /// Splits a slot. Returns what fills it then.
    pub(crate) async fn split(&self, slot: SlotId) -> Result<Event, Error> {
        tracing::info!(job = %self.job, %slot, "splitting slot");
        let attempt = Attempt::of(ulid::Ulid::new());
        let bytes = tombstone(self.author(&slot, &attempt))?;
        self.fill(slot, bytes).await
    }

    /// Gives up on a slot's rows. Returns what fills it then.
    pub(crate) async fn quarantine(
        &self,
        slot: SlotId,
        class: FailureClass,
        message: String,
    ) -> Result<Event, Error> {
        tracing::warn!(job = %self.job, %slot, message, "row given up");
        let (spec, plan, of_slot) = (self.spec.clone(), self.plan.clone(), slot.clone());
        let read = move || {
            let rows = dataset::read_rows(&spec.dataset, &plan, &of_slot)?;
            rows.for_attribution(&spec.attribution).next_batch()
        };
        // The rows may be what no attempt could read: their numbers are known all the same.
        let rows = match blocking("read the rows", read).await {
            Ok(Some(rows)) => rows,
            _ => unread_rows(&self.spec, self.plan.rows(&slot).unwrap_or_default())?,
        };
        let attempt = Attempt::of(ulid::Ulid::new());
        let error = RowError::new(class.code(), message);
        let bytes = quarantine(self.author(&slot, &attempt), &rows, &error)?;
        self.fill(slot, bytes).await
    }

    fn author<'a>(&'a self, slot: &'a SlotId, attempt: &'a Attempt) -> Author<'a> {
        Author {
            spec: &self.spec,
            slot,
            attempt,
            epoch: self.core.epoch,
        }
    }

    /// Tries to fill a slot. Returns what is in it then, whoever came first.
    async fn fill(&self, slot: SlotId, bytes: Bytes) -> Result<Event, Error> {
        let store = self.core.store.as_ref();
        let key = layout::slot(&self.table, &slot);
        let ours = Listed {
            key: key.clone(),
            bytes: bytes.len() as u64,
        };
        let object = match store.create(&key, bytes).await? {
            Created::Now => ours,
            Created::Already => store.head(&key).await?.unwrap_or(ours),
        };
        Ok(inspect(store, &object).await?.seen_in(slot, 0))
    }
}
