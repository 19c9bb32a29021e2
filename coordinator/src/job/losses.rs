//! Lost attempts: which leases have ended, and what that says about their slots.

use whence_schemas::SlotId;

use super::evidence::{self, Risk, Span};
use super::{Failure, FailureClass, Job, Lease, Machines, Timestamp};

impl Job {
    /// Ends every lost lease, and counts it against its slot if it says something about it. Returns the
    /// lost attempts, which the caller records.
    pub fn expire(&mut self, now: Timestamp, machines: &Machines) -> Vec<Failure> {
        let mut lost = Vec::new();
        for id in &self.leased {
            for lease in self.leases_of(id) {
                let Some(class) = lease.lost(now, &self.rules) else {
                    continue;
                };
                let how = match class {
                    FailureClass::Stuck => "made no progress for too long",
                    _ => "vanished",
                };
                lost.push(Failure {
                    slot: id.clone(),
                    attempt: lease.attempt.clone(),
                    worker: lease.worker.clone(),
                    class,
                    message: format!("worker `{}` {how}", lease.worker),
                });
            }
        }
        for failure in &lost {
            if let Some(lease) = self.drop_lease(&failure.slot, &failure.attempt, now) {
                self.lose(failure, &lease, machines, now);
            }
        }
        lost
    }

    /// Judges a lost attempt. A slot that is lost while its worker tries it alone rests, each time
    /// longer, and is given up once chance no longer explains its losses.
    fn lose(&mut self, failure: &Failure, lease: &Lease, machines: &Machines, now: Timestamp) {
        let span = lease.span(now, self.rules.ttl);
        let is_silent = failure.class == FailureClass::Lost;
        self.history.add(&failure.slot, span, is_silent);
        self.count(failure);
        if !is_silent || !lease.is_alone {
            return;
        }
        let Some(slot) = self.slots.get_mut(&failure.slot) else {
            return;
        };
        slot.lost_alone.push(span);
        let own = slot.lost_alone.clone();
        let is_single = slot.num_rows() == 1;
        if is_single && evidence::is_against(&own, &self.risks(&failure.slot, &own, machines, now))
        {
            let message = format!(
                "each of the {} workers that computed it alone vanished",
                own.len()
            );
            self.close(&Failure {
                message,
                ..failure.clone()
            });
        } else {
            self.rest(&failure.slot, 1.0, now);
        }
    }

    /// Returns what the losses `own` of a slot are compared with. Each tells of storms that the others
    /// do not show: attempts at other slots since the first of these losses, all attempts that are
    /// remembered, and the other workers, also those without a lease.
    fn risks(&self, slot: &SlotId, own: &[Span], machines: &Machines, now: Timestamp) -> [Risk; 3] {
        let (since, ttl) = (own.first().map_or(now, |span| span.since), self.rules.ttl);
        let beside = |since| {
            let mut risk = self.history.of_others(slot, since);
            for lease in self.leases_beside(slot) {
                risk.add(lease.span(now, ttl).lasted, false);
            }
            risk
        };
        let others = machines.risk(since, now, ttl).without(own);
        [beside(since), beside(Timestamp::default()), others]
    }

    /// Returns every lease of other slots.
    fn leases_beside(&self, slot: &SlotId) -> impl Iterator<Item = &Lease> {
        let others = self.leased.iter().filter(move |id| *id != slot);
        others.flat_map(|id| self.leases_of(id))
    }
}
