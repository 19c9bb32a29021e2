//! Dividing a job among processes that know nothing of each other.
//!
//! Each process has a share of the slots and takes these first, in the order of the plan. Then it takes
//! whatever is left of the other shares, beginning with the next one and with its last slot: the process
//! whose share that is comes from the other end, so the two meet once. If a process is gone, or was never
//! started, the others do its work. Slots arbitrate in any case, so a bad division costs only time.

use std::time::Duration;

use whence_schemas::SlotId;

/// How long a process lets the one before it seal a job, at least.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes per second at which tables are read again before a job is sealed. A slow store has this rate.
const READ_RATE: u64 = 32 << 20;

/// One of several shares of a job's slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    index: u32,
    of: u32,
}

impl Share {
    /// Returns the share `index`, counted from 0, of `of` shares. Returns `None` if there is no such
    /// share.
    pub fn new(index: u32, of: u32) -> Option<Self> {
        (index < of).then_some(Self { index, of })
    }

    /// Returns whether a slot belongs to this share. The halves of a slot belong to the share of the
    /// slot.
    pub fn has(self, slot: &SlotId) -> bool {
        self.distance(slot) == 0
    }

    /// Returns a slot's place in the order in which this share's process takes them; lower comes first.
    pub(super) fn place(self, slot: &SlotId) -> (u32, i64) {
        let shard = i64::try_from(slot.shard_index()).unwrap_or(i64::MAX);
        match self.distance(slot) {
            0 => (0, shard),
            distance => (distance, -shard),
        }
    }

    /// Returns how long this share's process waits, once all slots are filled, before it reads those of
    /// others in order to seal the job. `bytes` is the size of the table. One process after the other
    /// gets its turn, so that usually only the first one reads them.
    pub(super) fn patience(self, bytes: u64) -> Duration {
        (PATIENCE + Duration::from_secs(bytes / READ_RATE)).saturating_mul(self.index)
    }

    /// Returns how many shares after this one a slot's share comes.
    fn distance(self, slot: &SlotId) -> u32 {
        let of = u64::from(self.of);
        let share = slot.shard_index() as u64 % of;
        // Both are below `of`, so the result fits.
        ((share + of - u64::from(self.index)) % of) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::job;
    use crate::job::{Due, Event, Job};
    use crate::testing::{at, filled, slot};

    fn order(index: u32, of: u32, slots: usize) -> Vec<usize> {
        let share = Share::new(index, of).unwrap();
        let mut order: Vec<usize> = (0..slots).collect();
        order.sort_by_key(|shard| share.place(&SlotId::of_shard(*shard)));
        order
    }

    #[test]
    fn a_process_takes_its_share_and_then_the_next_one_from_the_end() {
        assert_eq!(order(0, 1, 4), [0, 1, 2, 3]);
        assert_eq!(order(0, 3, 8), [0, 3, 6, 7, 4, 1, 5, 2]);
        assert_eq!(order(1, 3, 8), [1, 4, 7, 5, 2, 6, 3, 0]);
        assert_eq!(order(2, 3, 8), [2, 5, 6, 3, 0, 7, 4, 1]);
        // More processes than slots: each begins with another one.
        assert_eq!(order(4, 5, 3), [0, 1, 2]);
        assert_eq!(order(1, 5, 3), [1, 2, 0]);
    }

    #[test]
    fn every_slot_is_in_one_share_with_its_halves() {
        let shares: Vec<Share> = (0..4).filter_map(|index| Share::new(index, 4)).collect();
        for shard in 0..20 {
            let slot = SlotId::of_shard(shard);
            let [_, half] = slot.split();
            let having = |slot: &SlotId| shares.iter().position(|share| share.has(slot));
            assert_eq!(having(&slot), Some(shard % 4));
            assert_eq!(having(&half), Some(shard % 4));
            assert_eq!(shares.iter().filter(|share| share.has(&slot)).count(), 1);
        }
        assert_eq!(Share::new(4, 4), None);
        assert_eq!(Share::new(0, 0), None);
    }

    /// Returns a job of three shards, all of which are filled at 100 s.
    fn complete(index: u32) -> Job {
        let mut job = job(&[1, 1, 1]);
        job.rules.share = Share::new(index, 3);
        for shard in 0..3 {
            job.apply(filled(&slot(shard), 1), at(100));
        }
        job
    }

    #[test]
    fn a_process_reads_its_share_and_the_others_when_it_is_its_turn() {
        let [all, own] = [&[0, 1, 2][..], &[1]].map(|slots| -> Vec<Due> {
            slots
                .iter()
                .map(|index| Due::Verify(slot(*index)))
                .collect()
        });
        assert_eq!(complete(0).due(at(100)), all);
        let mut second = complete(1);
        assert_eq!(second.due(at(104)), own);
        assert_eq!(second.due(at(105)), all);
        // A file turns out to be gone: its slot is open again, and nobody's turn has come.
        second.apply(Event::Missing(slot(2)), at(106));
        assert_eq!(second.due(at(200)), own);
    }

    #[test]
    fn one_process_after_the_other_gets_to_seal() {
        let patience = |index, bytes| Share::new(index, 9).unwrap().patience(bytes).as_secs();
        assert_eq!(patience(0, 1 << 40), 0);
        assert_eq!((patience(1, 0), patience(2, 0)), (5, 10));
        assert_eq!(patience(2, 1 << 30), 2 * (5 + 32));
    }
}
