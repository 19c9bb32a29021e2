//! What reading the objects of filled slots says: whether a job may be sealed.
//!
//! A footer is enough to count a slot as filled, so that a job recovers quickly. But a job is sealed only
//! after each of its objects was read whole.

use std::collections::BTreeMap;

use whence_schemas::{SlotId, layout};

use super::evidence::History;
use super::{Job, Phase, SlotState, Timestamp};

impl Job {
    /// Records that the object in a slot is whole.
    pub(super) fn verified(&mut self, slot: SlotId, digest: String) {
        if self.unverified.remove(&slot) {
            self.digests.insert(slot, digest);
        }
    }

    /// Returns whether this process should now read the objects of all slots. Of several that serve the
    /// job, each reads those of its share, and usually one the others.
    pub(super) fn reads_all(&self, now: Timestamp) -> bool {
        let Some(share) = self.rules.share else {
            return true;
        };
        let is_turn = |since: Timestamp| now.since(since) >= share.patience(self.bytes());
        self.complete_since.is_some_and(is_turn)
    }

    /// Returns whether a slot belongs to the share of this process.
    pub(super) fn is_ours(&self, slot: &SlotId) -> bool {
        self.rules.share.is_none_or(|share| share.has(slot))
    }

    /// Returns the size of the table's files.
    fn bytes(&self) -> u64 {
        let bytes = |(_, state): (&SlotId, &SlotState)| match state {
            SlotState::Filled(fill) => fill.bytes,
            _ => 0,
        };
        self.slots().map(bytes).sum()
    }

    /// Ends the job: its manifest is written. A coordinator may keep many ended jobs, so what only a
    /// running one needs is dropped.
    pub(super) fn sealed_now(&mut self) {
        self.phase = Phase::Sealed;
        self.digests = BTreeMap::new();
        self.history = History::default();
        self.durations = Vec::new();
    }

    /// Ends the job because of a damaged object. Nothing overwrites an object, so a person has to take
    /// it away. The job then goes on where it stopped.
    pub(super) fn damaged(&mut self, slot: &SlotId, reason: &str, now: Timestamp) {
        if self.slot(slot).is_none() || self.phase != Phase::Running {
            return;
        }
        self.reopen(slot, now);
        let key = layout::slot(&self.table, slot);
        self.phase = Phase::Failed {
            message: format!(
                "the table file `{key}` is damaged: {reason}; delete it and submit the job again to \
                 compute its rows again"
            ),
            is_final: false,
        };
    }

    /// Takes a filled slot for empty again. A split slot stays split: its halves may be filled.
    pub(super) fn reopen(&mut self, id: &SlotId, now: Timestamp) {
        let Some(SlotState::Filled(fill)) = self.slot(id).cloned() else {
            return;
        };
        self.totals.slots_done -= 1;
        self.totals.rows_done -= fill.rows;
        self.totals.rows_failed -= fill.errors;
        self.totals.work_done -= self.plan.estimated_tokens(id);
        self.unverified.remove(id);
        self.complete_since = None;
        self.set_state(id, SlotState::Pending { not_before: now });
    }
}
