//! Slots whose rows need more memory than a worker has.
//!
//! What one worker has no memory for is no result while a larger one is there. Such a slot is left to
//! workers with more memory. When the last of them is gone, it is for everybody again, and whoever
//! computes it writes error rows.

use whence_schemas::{SlotId, WorkerClass, WorkerId};

use super::{Failure, Job, Machines, Timestamp};

impl Job {
    /// Returns whether a worker of this class may compute the job, and has not failed to.
    pub(crate) fn may_be_given_to(&self, worker: &WorkerId, class: &WorkerClass) -> bool {
        self.spec.workers.accept(class) && !self.refused_by.contains(worker)
    }

    /// Ends an attempt for which `memory` was too little, and leaves its slot to workers with more. That
    /// is no failure of the slot.
    pub(super) fn leave_to_larger(&mut self, failure: &Failure, memory: u64, now: Timestamp) {
        if !self.end_lease(&failure.slot, &failure.attempt, now) {
            return;
        }
        if let Some(slot) = self.slots.get_mut(&failure.slot) {
            let before = slot.needs_more_than.unwrap_or_default();
            slot.needs_more_than = Some(memory.max(before));
            self.waits_for_larger = true;
        }
    }

    /// Returns whether a worker with this memory may try the rows of a slot; `None` is no bound.
    pub(super) fn fits(&self, slot: &SlotId, memory: Option<u64>) -> bool {
        let slot = self.slots.get(slot);
        let needs = slot.and_then(|slot| slot.needs_more_than);
        match (needs, memory) {
            (Some(needs), Some(memory)) => memory > needs,
            (None, _) | (_, None) => true,
        }
    }

    /// Gives slots to every worker again if no worker that would be large enough is there any more.
    pub(crate) fn forget_larger(&mut self, machines: &Machines) {
        if !self.waits_for_larger {
            return;
        }
        let may_work = |worker: &WorkerId, class: &WorkerClass| self.may_be_given_to(worker, class);
        let is_over = |memory| !machines.has_larger(memory, may_work);
        let slots = self.slots.iter();
        let over = slots.filter(|(_, slot)| slot.needs_more_than.is_some_and(is_over));
        let over: Vec<_> = over.map(|(id, _)| id.clone()).collect();
        for id in over {
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.needs_more_than = None;
            }
        }
        let mut slots = self.slots.values();
        let waits = slots.any(|slot| slot.needs_more_than.is_some());
        self.waits_for_larger = waits;
    }
}

#[cfg(test)]
mod tests {
    use super::super::scheduler::{self, Request};
    use super::super::tests::{job, lease};
    use super::super::{Event, FailureClass, SlotState};
    use super::*;
    use crate::job::Tenants;
    use crate::testing::{at, attempt, slot, worker};

    fn class(memory: u64) -> WorkerClass {
        WorkerClass {
            memory: Some(memory),
            ..WorkerClass::default()
        }
    }

    fn failed(number: u128, name: &str) -> Failure {
        Failure {
            slot: slot(0),
            attempt: attempt(number),
            worker: worker(name),
            class: FailureClass::OutOfMemory,
            message: "the example needs about 20".to_owned(),
        }
    }

    fn offered(job: &Job, name: &str, memory: u64) -> usize {
        let request = Request {
            worker: worker(name),
            credits: 9,
            loaded: Vec::new(),
            class: class(memory),
        };
        scheduler::assign([job].into_iter(), &Tenants::default(), &request, at(200)).len()
    }

    /// Returns a job whose only slot a small worker has no memory for, and that worker with a large one.
    fn too_large_for_the_small_one() -> (Job, Machines) {
        let mut machines = Machines::default();
        for (name, memory) in [("small", 10), ("large", 30)] {
            machines.heard(&worker(name), at(0));
            machines.introduced(&worker(name), &class(memory));
        }
        let mut job = job(&[1]);
        lease(&mut job, &slot(0), 1, "small", at(0));
        job.apply(Event::NeedsMemory(failed(1, "small"), 10), at(1));
        (job, machines)
    }

    #[test]
    fn a_larger_worker_that_cannot_load_the_model_is_not_waited_for() {
        let (mut job, machines) = too_large_for_the_small_one();
        lease(&mut job, &slot(0), 2, "large", at(2));
        let event = Event::Failed {
            failure: Failure {
                class: FailureClass::Model,
                ..failed(2, "large")
            },
            jitter: 0.5,
            num_workers: 2,
        };
        job.apply(event, at(3));
        job.forget_larger(&machines);
        assert_eq!(offered(&job, "small", 10), 1);
    }

    #[test]
    fn a_slot_that_needs_memory_waits_for_a_larger_worker_as_long_as_there_is_one() {
        let (mut job, mut machines) = too_large_for_the_small_one();
        assert!(matches!(
            job.slot(&slot(0)),
            Some(SlotState::Pending { .. })
        ));
        job.forget_larger(&machines);
        assert_eq!(
            (offered(&job, "small", 10), offered(&job, "large", 30)),
            (0, 1)
        );
        assert_eq!(offered(&job, "another", 11), 1);

        // The large one leaves.
        machines.heard(&worker("small"), at(90));
        machines.expire(at(100), std::time::Duration::from_mins(1));
        job.forget_larger(&machines);
        assert_eq!(offered(&job, "small", 10), 1);
    }
}
