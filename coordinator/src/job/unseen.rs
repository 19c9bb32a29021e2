//! Results that workers reported and the coordinator does not find.
//!
//! One such report says little: somebody may have deleted a file, or a network file system shows it
//! late. A worker of which this is true again and again writes to another place: a directory that only
//! has the same path on its machine. Without an end, it would compute the same slots forever.

use whence_schemas::{Attempt, SlotId};

use super::{Failure, FailureClass, Job, Timestamp};

/// Reports of one worker, about one job, of which nothing was found, before it counts as a worker whose
/// results do not arrive.
const MOST_UNSEEN: u32 = 3;

impl Job {
    /// Ends the lease of an attempt whose slot is empty although its worker filled it. If that happened
    /// too often, the worker gets no more slots of the job.
    pub(super) fn unseen(
        &mut self,
        slot: &SlotId,
        attempt: &Attempt,
        num_workers: usize,
        now: Timestamp,
    ) {
        let Some(lease) = self.lease_of(slot, attempt) else {
            return;
        };
        let worker = lease.worker.clone();
        let reports = self.unseen.entry(worker.clone()).or_default();
        *reports += 1;
        if *reports < MOST_UNSEEN {
            self.end_lease(slot, attempt, now);
            return;
        }
        let message = format!(
            "worker `{worker}` reported {reports} results that are not in the storage root; it must \
             reach the same files as the coordinator: a directory that all machines share, or an \
             object store"
        );
        let failure = Failure {
            slot: slot.clone(),
            attempt: attempt.clone(),
            worker,
            class: FailureClass::Storage,
            message,
        };
        self.fail(&failure, 0.0, num_workers, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::{job, lease};
    use crate::job::{Event, Phase};
    use crate::testing::{at, attempt, slot};

    fn unseen(job: &mut Job, number: u128, name: &str, num_workers: usize) {
        lease(job, &slot(0), number, name, at(0));
        let event = Event::Unseen {
            slot: slot(0),
            attempt: attempt(number),
            num_workers,
        };
        job.apply(event, at(1));
    }

    #[test]
    fn a_worker_whose_results_never_arrive_ends_a_job_that_has_no_other() {
        let mut job = job(&[4]);
        unseen(&mut job, 1, "w", 1);
        unseen(&mut job, 2, "w", 1);
        assert_eq!(job.phase(), &Phase::Running);
        unseen(&mut job, 3, "w", 1);
        let Phase::Failed { message, is_final } = job.phase() else {
            panic!("{:?}", job.phase());
        };
        assert!(
            message.contains("worker `w` reported 3 results"),
            "{message}"
        );
        assert!(!is_final);
        job.apply(Event::Resubmitted, at(2));
        unseen(&mut job, 4, "w", 1);
        assert_eq!(job.phase(), &Phase::Running);
    }

    #[test]
    fn others_go_on_without_a_worker_whose_results_do_not_arrive() {
        let mut job = job(&[4]);
        for number in 1..4 {
            unseen(&mut job, number, "w", 2);
        }
        assert_eq!(job.phase(), &Phase::Running);
        let assigned = |name| {
            let request = crate::testing::request(name, 1);
            let none = crate::job::Tenants::default();
            crate::job::scheduler::assign([&job].into_iter(), &none, &request, at(2)).len()
        };
        assert_eq!((assigned("w"), assigned("v")), (0, 1));
        // What nobody leased counts against nobody.
        let event = Event::Unseen {
            slot: slot(0),
            attempt: attempt(9),
            num_workers: 2,
        };
        job.apply(event, at(3));
        assert_eq!(job.phase(), &Phase::Running);
    }
}
