//! How each event changes a job's state.
//!
//! Events may arrive late or twice, so each transition first checks that it still applies. The
//! first object seen in a slot decides what the slot holds; nothing that comes later changes it.

use std::time::Duration;

use whence_schemas::retry::RetryPolicy;
use whence_schemas::{Attempt, SlotId, WorkerId};

use super::{
    Closing, Done, Event, Failure, FailureClass, Fill, Job, Lease, Phase, SlotState, Timestamp,
};

/// How long a slot rests after a transient failure. An outage must not cost a slot, however long it
/// lasts, so it is never given up.
const RESTING: RetryPolicy = RetryPolicy {
    first_pause: Duration::from_secs(1),
    longest_pause: Duration::from_mins(1),
    give_up_after: Duration::MAX,
};
/// Workers that must have failed to load a model, or to write results, before the job fails. If fewer
/// workers are known, all of them must have failed.
const VERDICTS: usize = 3;
/// Durations of finished attempts to remember, for telling which running attempts are slow.
const MAX_DURATIONS: usize = 512;

impl Job {
    /// Applies an event.
    pub fn apply(&mut self, event: Event, now: Timestamp) {
        match event {
            Event::Leased {
                slot,
                attempt,
                worker,
            } => self.grant(&slot, attempt, worker, now),
            Event::Renewed {
                slot,
                attempt,
                worker,
                done,
            } => {
                self.adopt(&slot, &attempt, worker, now);
                self.renew(&slot, &attempt, done, now);
            }
            Event::Released { slot, attempt } => {
                self.end_lease(&slot, &attempt, now);
            }
            Event::Unseen {
                slot,
                attempt,
                num_workers,
            } => self.unseen(&slot, &attempt, num_workers, now),
            Event::Failed {
                failure,
                jitter,
                num_workers,
            } => self.fail(&failure, jitter, num_workers, now),
            Event::NeedsMemory(failure, memory) => self.leave_to_larger(&failure, memory, now),
            Event::Filled { slot, fill, tokens } => self.fill(&slot, fill, tokens, now),
            Event::Split { slot, bytes } => self.split(&slot, bytes),
            Event::Verified { slot, digest } => self.verified(slot, digest),
            Event::Damaged { slot, reason } => self.damaged(&slot, &reason, now),
            Event::Missing(slot) => self.reopen(&slot, now),
            Event::Sealed => self.sealed_now(),
            Event::Cancelled if self.phase != Phase::Sealed => self.phase = Phase::Cancelled,
            Event::Paused(is_paused) => self.is_paused = is_paused,
            Event::Resubmitted => self.resume(),
            Event::DatasetUnreadable(reason) if self.phase == Phase::Running => {
                self.phase = Phase::Failed {
                    message: format!(
                        "{reason}; restore the data and submit the job again to resume"
                    ),
                    is_final: false,
                };
            }
            // The job has ended already.
            Event::Cancelled | Event::DatasetUnreadable(_) => {}
            Event::FoundFailed(message) => {
                self.failure_stands = true;
                self.phase = Phase::Failed {
                    message,
                    is_final: true,
                };
            }
            Event::FoundFailure(failure) => self.count(&failure),
        }
    }

    fn new_lease(&self, attempt: Attempt, worker: WorkerId, now: Timestamp) -> Lease {
        Lease::new(attempt, worker, now, self.rules.ttl)
    }

    /// Leases a slot to a worker that asked. If its rows are suspect, the worker has no other lease.
    fn grant(&mut self, id: &SlotId, attempt: Attempt, worker: WorkerId, now: Timestamp) {
        let is_alone = self.is_suspect(id);
        let lease = self.new_lease(attempt, worker, now);
        self.lease(id, Lease { is_alone, ..lease }, now);
    }

    /// Leases a slot to an attempt that is at work already, unless it has its lease. Nobody knows what
    /// else its worker does.
    fn adopt(&mut self, id: &SlotId, attempt: &Attempt, worker: WorkerId, now: Timestamp) {
        if !self.is_leased(id, attempt) {
            let lease = self.new_lease(attempt.clone(), worker, now);
            self.lease(id, lease, now);
        }
    }

    /// Leases a slot. If the slot has one lease already, the new one is a backup. Does nothing if it
    /// has two, or is not open.
    fn lease(&mut self, id: &SlotId, mut lease: Lease, now: Timestamp) {
        if self.phase != Phase::Running {
            return;
        }
        match self.slots.get_mut(id).map(|slot| &mut slot.state) {
            Some(SlotState::Pending { .. }) => {
                self.last_leased = now;
                self.set_state(id, SlotState::Leased(vec![lease]));
            }
            Some(SlotState::Leased(leases)) if leases.len() == 1 => {
                lease.is_backup = true;
                lease.is_alone = false;
                leases.push(lease);
            }
            _ => {}
        }
    }

    fn renew(&mut self, id: &SlotId, attempt: &Attempt, done: Done, now: Timestamp) {
        let ttl = self.rules.ttl;
        if let Some(SlotState::Leased(leases)) = self.slots.get_mut(id).map(|slot| &mut slot.state)
        {
            let named = leases.iter_mut().find(|lease| lease.attempt == *attempt);
            if let Some(lease) = named {
                lease.renew(done, now, ttl);
            }
        }
    }

    /// Ends the lease of an attempt and returns it. Returns `None` if there is no such lease.
    ///
    /// If a backup is left, it becomes the slot's regular attempt; otherwise the slot is pending.
    pub(super) fn drop_lease(
        &mut self,
        id: &SlotId,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Option<Lease> {
        let state = self.slots.get_mut(id).map(|slot| &mut slot.state);
        let Some(SlotState::Leased(leases)) = state else {
            return None;
        };
        let place = leases.iter().position(|lease| lease.attempt == *attempt)?;
        let ended = leases.remove(place);
        match leases.first_mut() {
            Some(left) => left.is_backup = false,
            None => self.set_state(id, SlotState::Pending { not_before: now }),
        }
        Some(ended)
    }

    /// Ends the lease of an attempt whose worker did not vanish. Returns false if there is no such
    /// lease.
    pub(super) fn end_lease(&mut self, id: &SlotId, attempt: &Attempt, now: Timestamp) -> bool {
        let Some(ended) = self.drop_lease(id, attempt, now) else {
            return false;
        };
        self.history.add(id, ended.span(now, self.rules.ttl), false);
        true
    }

    /// Handles a failed attempt according to its class. An attempt without a lease is ignored, so
    /// that a failure that is reported twice counts once.
    pub(super) fn fail(
        &mut self,
        failure: &Failure,
        jitter: f64,
        num_workers: usize,
        now: Timestamp,
    ) {
        if !self.end_lease(&failure.slot, &failure.attempt, now) {
            return;
        }
        match failure.class {
            FailureClass::Specification => {
                self.phase = Phase::Failed {
                    message: failure.message.clone(),
                    is_final: true,
                };
            }
            // What one worker cannot do, another one may.
            FailureClass::Model | FailureClass::Storage => {
                self.refused_by.insert(failure.worker.clone());
                if self.refused_by.len() >= num_workers.clamp(1, VERDICTS) {
                    self.phase = Phase::Failed {
                        message: format!("{}; submit it again to resume", failure.message),
                        is_final: false,
                    };
                }
            }
            FailureClass::Transient => self.rest(&failure.slot, jitter, now),
            _ => self.count(failure),
        }
    }

    /// Lets a slot rest after a transient failure. `jitter` keeps the slots that failed together from
    /// being retried together.
    pub(super) fn rest(&mut self, id: &SlotId, jitter: f64, now: Timestamp) {
        let Some(slot) = self.slots.get_mut(id) else {
            return;
        };
        slot.num_rests += 1;
        if matches!(slot.state, SlotState::Pending { .. }) {
            let not_before = now.after(RESTING.pause(slot.num_rests, jitter));
            slot.state = SlotState::Pending { not_before };
        }
    }

    /// Counts a failure against its slot. After too many of them, the slot is to be split, or given
    /// up if it has only one row.
    pub(super) fn count(&mut self, failure: &Failure) {
        let Some(slot) = self.slots.get_mut(&failure.slot) else {
            return;
        };
        if slot.count(failure.class, &failure.worker) {
            self.close(failure);
        }
    }

    /// Gives a slot up because of its last failure: it is to be split, or to get an error row.
    pub(super) fn close(&mut self, failure: &Failure) {
        let Some(slot) = self.slots.get(&failure.slot) else {
            return;
        };
        if !matches!(slot.state, SlotState::Pending { .. } | SlotState::Leased(_)) {
            return;
        }
        let closing = if slot.num_rows() > 1 {
            Closing::Split
        } else {
            Closing::Quarantine {
                class: failure.class,
                message: failure.message.clone(),
            }
        };
        // Another attempt at the slot may still finish, and it counts if it fills the slot first.
        self.set_state(&failure.slot, SlotState::Closing(closing));
    }

    /// Records the object with rows that was seen in a slot. The job fails if the object does not
    /// have the planned number of rows.
    fn fill(&mut self, id: &SlotId, fill: Fill, tokens: u64, now: Timestamp) {
        self.find_splits_above(id);
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        let expected = slot.num_rows();
        if matches!(slot.state, SlotState::Filled(_) | SlotState::Split { .. }) {
            return;
        }
        if let SlotState::Leased(leases) = &slot.state {
            if self.durations.len() == MAX_DURATIONS {
                self.durations.remove(0);
            }
            let longest = leases.iter().map(|lease| now.since(lease.since)).max();
            self.durations.extend(longest);
            for lease in leases {
                self.history.add(id, lease.span(now, self.rules.ttl), false);
            }
        }
        if fill.rows != expected {
            self.phase = Phase::Failed {
                message: format!(
                    "the object in slot `{id}` has {} rows where the plan has {expected}; \
                     it was written by another program: submit the job with another run id",
                    fill.rows
                ),
                is_final: false,
            };
            return;
        }
        self.totals.slots_done += 1;
        self.totals.rows_done += fill.rows;
        self.totals.rows_failed += fill.errors;
        self.totals.tokens_done += tokens;
        let work = self.plan.estimated_tokens(id);
        self.totals.work_done += work;
        self.counted.add(work, tokens);
        self.set_state(id, SlotState::Filled(fill));
        self.unverified.insert(id.clone());
        if self.totals.slots_done == self.totals.slots {
            self.complete_since = Some(now);
        }
    }

    /// Records the tombstone that was seen in a slot, and adds the slot's halves as pending slots.
    fn split(&mut self, id: &SlotId, bytes: u64) {
        self.find_splits_above(id);
        if let Some(SlotState::Split { bytes: known }) =
            self.slots.get_mut(id).map(|slot| &mut slot.state)
        {
            // The tombstone was written again, or only what is below it had been seen.
            *known = bytes;
        }
        let is_open = self.slots.get(id).is_some_and(|slot| {
            !matches!(slot.state, SlotState::Filled(_) | SlotState::Split { .. })
        });
        if !is_open {
            return;
        }
        self.split_open(id, bytes);
    }

    fn split_open(&mut self, id: &SlotId, bytes: u64) {
        let is_suspect = self.is_suspect(id);
        self.set_state(id, SlotState::Split { bytes });
        self.unverified.insert(id.clone());
        self.totals.slots -= 1;
        self.totals.work -= self.plan.estimated_tokens(id);
        for half in id.split() {
            if let Some(rows) = self.plan.rows(&half) {
                self.add_slot(half.clone(), rows);
                if let Some(slot) = self.slots.get_mut(&half) {
                    slot.is_suspect = is_suspect;
                }
            }
        }
    }

    /// Takes the slots above a slot for split, which an object in it proves: nobody fills a half before
    /// its slot is split. A missing or damaged tombstone is then written again, and the rows of the
    /// slot are not computed a second time.
    fn find_splits_above(&mut self, id: &SlotId) {
        let mut above = SlotId::of_shard(id.shard_index());
        for is_second in id.halves() {
            let is_open = self.slots.get(&above).is_some_and(|slot| {
                !matches!(slot.state, SlotState::Filled(_) | SlotState::Split { .. })
            });
            if is_open {
                self.split_open(&above, 0);
            }
            above = above.split()[usize::from(is_second)].clone();
        }
    }

    /// Resumes a job that failed for a reason that may pass. Workers that could not load the model
    /// may try again.
    fn resume(&mut self) {
        if let Phase::Failed {
            is_final: false, ..
        } = self.phase
        {
            self.phase = Phase::Running;
            self.refused_by.clear();
            self.unseen.clear();
        }
    }
}
