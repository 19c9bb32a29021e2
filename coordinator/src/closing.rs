//! Fills the slots that no worker could fill: with a tombstone, or with error rows.
//!
//! A worker may fill the slot at the same moment. The first write wins, and the coordinator goes on
//! with whatever the slot then holds.

use std::sync::Arc;

use bytes::Bytes;
use whence_schemas::store::{Created, Listed, StoreError};
use whence_schemas::{Attempt, CrashPoint, JobId, JobSpec, Plan, RowError, SlotId, chain, layout};

use crate::blocking::blocking;
use crate::core::Core;
use crate::durable::{Author, inspect, quarantine, tombstone, unread_rows};
use crate::job::{Event, FailureClass};
use crate::{Error, rows};

/// Fills given-up slots of one job.
pub(crate) struct Closer<'c> {
    core: &'c Core,
    job: &'c JobId,
    spec: Arc<JobSpec>,
    plan: Arc<Plan>,
    table: String,
}

impl<'c> Closer<'c> {
    /// Prepares to fill slots of the job `id`. Fails if there is no such job.
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

    /// Splits a slot by filling it with a tombstone. Returns the event for what it then holds.
    pub(crate) async fn split(&self, slot: SlotId) -> Result<Event, Error> {
        tracing::info!(job = %self.job, %slot, "splitting slot");
        let attempt = Attempt::of(ulid::Ulid::new());
        let bytes = tombstone(self.author(&slot, &attempt))?;
        self.fill(slot, bytes).await
    }

    /// Gives up on a slot's rows and fills it with error rows. Returns the event for what it then
    /// holds.
    pub(crate) async fn quarantine(
        &self,
        slot: SlotId,
        class: FailureClass,
        message: String,
    ) -> Result<Event, Error> {
        tracing::warn!(job = %self.job, %slot, message, "row given up");
        let (spec, plan, of_slot) = (self.spec.clone(), self.plan.clone(), slot.clone());
        let read = move || {
            let rows = rows::read_rows(&spec.dataset, &plan, &of_slot)?;
            rows.for_attribution(&spec.attribution).next_batch()
        };
        // Perhaps the slot failed because its rows cannot be read. Their ids are known anyway.
        let rows = match blocking("read the rows", read).await {
            Ok(Some(rows)) => rows,
            // Error rows would stay in the table after the data is restored.
            Err(error) if error.ends_job() => {
                return Ok(Event::DatasetUnreadable(chain(&error)));
            }
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

    /// Tries to fill a slot. Returns the event for what it then holds, whoever wrote it.
    async fn fill(&self, slot: SlotId, bytes: Bytes) -> Result<Event, Error> {
        let store = self.core.store.as_ref();
        let key = layout::slot(&self.table, &slot);
        let ours = Listed {
            key: key.clone(),
            bytes: bytes.len() as u64,
        };
        CrashPoint::CoordinatorBeforeFill.pass();
        let object = match store.create(&key, bytes).await? {
            Created::Now => ours,
            // Somebody else filled it first, perhaps with another kind of object: read that one.
            Created::Already => store.head(&key).await?.unwrap_or(ours),
        };
        CrashPoint::CoordinatorAfterFill.pass();
        match inspect(store, &object).await {
            Ok(seen) => Ok(seen.seen_in(slot, 0)),
            Err(StoreError::Damaged { reason, .. }) => Ok(Event::Damaged { slot, reason }),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use whence_schemas::ErrorKind;

    use super::*;
    use crate::job::{Fill, FillKind};
    use crate::testing::{Stage, slot};

    #[tokio::test]
    async fn a_slot_that_a_worker_filled_first_is_left_to_it() {
        let stage = Stage::new().await;
        let (id, _) = stage.coordinator.jobs().submit(stage.job(1)).await.unwrap();
        let leased = stage.acquire("a", 1).await.remove(0);
        stage.fill(&leased).await;
        let core = &stage.coordinator.core;
        let written = core.store.get(&leased.slot_key).await.unwrap().unwrap();
        let closer = Closer::new(core, &id).unwrap();
        let expected = Event::Filled {
            slot: slot(0),
            fill: Fill {
                kind: FillKind::Full,
                rows: 1,
                errors: 0,
                bytes: written.len() as u64,
            },
            tokens: 0,
        };
        assert_eq!(closer.split(slot(0)).await.unwrap(), expected);
        let given_up = closer.quarantine(slot(0), FailureClass::Lost, "gone".to_owned());
        assert_eq!(given_up.await.unwrap(), expected);
        let found = core.store.get(&leased.slot_key).await.unwrap();
        assert_eq!(found, Some(written));
    }

    #[tokio::test]
    async fn a_slot_that_holds_something_else_is_damaged_and_stays_as_it_is() {
        let stage = Stage::new().await;
        let (id, _) = stage.coordinator.jobs().submit(stage.job(1)).await.unwrap();
        let leased = stage.acquire("a", 1).await.remove(0);
        let core = &stage.coordinator.core;
        let foreign = Bytes::from_static(b"PAR1 and nothing else");
        let created = core.store.create(&leased.slot_key, foreign.clone()).await;
        assert_eq!(created.unwrap(), Created::Now);
        let event = Closer::new(core, &id).unwrap().split(slot(0)).await;
        assert!(matches!(event.unwrap(), Event::Damaged { .. }));
        let found = core.store.get(&leased.slot_key).await.unwrap();
        assert_eq!(found, Some(foreign));
    }

    #[tokio::test]
    async fn a_slot_whose_rows_cannot_be_read_ends_the_job_and_stays_empty() {
        let stage = Stage::new().await;
        let (id, _) = stage.coordinator.jobs().submit(stage.job(2)).await.unwrap();
        let key = layout::slot(
            &stage.coordinator.jobs().summary(&id).unwrap().table,
            &slot(1),
        );
        std::fs::remove_file(stage.data.path().join("2.jsonl")).unwrap();
        let core = &stage.coordinator.core;
        let closer = Closer::new(core, &id).unwrap();
        let message = "the file is gone".to_owned();
        let event = closer.quarantine(slot(1), FailureClass::Input, message);
        let Event::DatasetUnreadable(reason) = event.await.unwrap() else {
            panic!("the job ends");
        };
        assert!(reason.contains("2.jsonl"), "{reason}");
        assert_eq!(core.store.get(&key).await.unwrap(), None);
    }

    #[tokio::test]
    async fn slots_of_an_unknown_job_are_not_filled() {
        let stage = Stage::new().await;
        let unknown = JobId::of("gone");
        let refused = Closer::new(&stage.coordinator.core, &unknown).err();
        assert_eq!(refused.unwrap().kind(), ErrorKind::NotFound);
    }
}
