//! One slot: what it holds or who is trying to fill it, and how often that has failed.

use std::collections::BTreeSet;
use std::ops::Range;

use whence_schemas::WorkerId;

use super::evidence::Span;
use super::{FailureClass, Lease, Timestamp};

/// Attempts that may fail or be lost before the slot is split, or given up if it has one row.
const MAX_FAILURES: usize = 3;

/// What a slot holds, or how it is being filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotState {
    /// Nobody works on it.
    Pending {
        /// The slot must not be leased before this time, to pause after a transient failure.
        not_before: Timestamp,
    },
    /// One worker is working on it, or two if the first is slow and has a backup.
    Leased(Vec<Lease>),
    /// No worker will try it again, and the coordinator is about to fill it itself.
    Closing(Closing),
    /// It holds an object with rows.
    Filled(Fill),
    /// It holds a tombstone: its rows belong in its two halves.
    Split {
        /// Length of the tombstone.
        bytes: u64,
    },
}

/// How the coordinator fills a slot that no worker could fill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closing {
    /// With a tombstone, so that workers can try its halves separately.
    Split,
    /// With an error row: it has one row and cannot be split.
    Quarantine {
        /// What went wrong.
        class: FailureClass,
        /// The error message.
        message: String,
    },
}

/// Who filled a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FillKind {
    /// A worker, with the result.
    Full,
    /// The coordinator, with an error row.
    Quarantine,
}

/// The object in a filled slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    /// Who filled it.
    pub kind: FillKind,
    /// Rows of the dataset it covers, error rows included.
    pub rows: u64,
    /// How many of them ended in an error row.
    pub errors: u64,
    /// Length of the object.
    pub bytes: u64,
}

/// A slot and its history.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) rows: Range<u64>,
    pub(super) state: SlotState,
    /// Attempts whose worker vanished.
    losses: usize,
    /// The workers of the lost attempts. Losing several suggests that the rows are at fault rather
    /// than one machine.
    lost_on: BTreeSet<WorkerId>,
    /// Whether its rows may be what makes workers vanish. A worker then tries it alone.
    pub(super) is_suspect: bool,
    /// The lost attempts that their worker made alone.
    pub(super) lost_alone: Vec<Span>,
    failures: usize,
    out_of_memory: usize,
    /// Memory that was too little for its rows, while a worker with more is there.
    pub(super) needs_more_than: Option<u64>,
    /// How often it has rested after a transient failure. Each rest may last longer than the last.
    pub(super) num_rests: u32,
}

impl Slot {
    pub(super) fn new(rows: Range<u64>) -> Self {
        Self {
            rows,
            state: SlotState::Pending {
                not_before: Timestamp::default(),
            },
            losses: 0,
            lost_on: BTreeSet::new(),
            is_suspect: false,
            lost_alone: Vec::new(),
            failures: 0,
            out_of_memory: 0,
            needs_more_than: None,
            num_rests: 0,
        }
    }

    pub(super) fn num_rows(&self) -> u64 {
        self.rows.end - self.rows.start
    }

    /// Counts a failed attempt. Returns whether workers should stop trying to fill the slot.
    ///
    /// A transient failure never counts: an outage of the store must not split the whole dataset
    /// into single rows. A failure to load the model or to write results says nothing about the slot either, and a
    /// faulty specification fails the whole job. Losses split a slot of several rows, which costs
    /// nothing; what they say about a single row is decided by `evidence`.
    pub(super) fn count(&mut self, class: FailureClass, worker: &WorkerId) -> bool {
        match class {
            FailureClass::Transient
            | FailureClass::Model
            | FailureClass::Storage
            | FailureClass::Specification => false,
            // Another attempt would give the same result, so only smaller slots can help.
            FailureClass::TooLarge => true,
            FailureClass::OutOfMemory => {
                self.out_of_memory += 1;
                self.out_of_memory >= 2
            }
            FailureClass::Input | FailureClass::Internal | FailureClass::Stuck => {
                self.failures += 1;
                self.failures >= MAX_FAILURES
            }
            FailureClass::Lost => {
                self.losses += 1;
                self.lost_on.insert(worker.clone());
                self.is_suspect = true;
                let is_enough = self.losses >= MAX_FAILURES || self.lost_on.len() >= 2;
                is_enough && self.num_rows() > 1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets `workers` fail one after another at a slot of `rows` rows, each with `class`. Returns the
    /// index of the attempt that closed the slot, or `None` if it is still open.
    fn last_attempt(class: FailureClass, rows: u64, workers: &[&str]) -> Option<usize> {
        let mut slot = Slot::new(0..rows);
        let is_last = |worker: &&str| slot.count(class, &worker.parse().unwrap());
        workers.iter().position(is_last).map(|index| index + 1)
    }

    #[test]
    fn the_class_of_a_failure_says_after_how_many_a_slot_is_given_up() {
        const SAME: [&str; 9] = ["a"; 9];
        for (class, expected) in [
            // Nothing that says something about the slot.
            (FailureClass::Transient, None),
            (FailureClass::Model, None),
            (FailureClass::Storage, None),
            (FailureClass::Specification, None),
            // Another attempt would end alike.
            (FailureClass::TooLarge, Some(1)),
            (FailureClass::OutOfMemory, Some(2)),
            (FailureClass::Input, Some(3)),
            (FailureClass::Internal, Some(3)),
            (FailureClass::Stuck, Some(3)),
        ] {
            for rows in [1, 8] {
                assert_eq!(last_attempt(class, rows, &SAME), expected, "{class:?}");
            }
        }
    }

    #[test]
    fn lost_workers_split_a_slot_but_do_not_cost_a_row() {
        let lost = |rows, workers: &[&str]| last_attempt(FailureClass::Lost, rows, workers);
        assert_eq!(lost(8, &["a", "b", "c"]), Some(2));
        assert_eq!(lost(8, &["a", "a", "b"]), Some(3));
        assert_eq!(lost(8, &["a"; 9]), Some(3));
        assert_eq!(lost(1, &["a", "b", "c", "d"]), None);
    }

    #[test]
    fn failures_of_different_kinds_are_counted_apart() {
        let mut slot = Slot::new(0..8);
        let worker = "a".parse().unwrap();
        for class in [
            FailureClass::Lost,
            FailureClass::OutOfMemory,
            FailureClass::Internal,
            FailureClass::Internal,
            FailureClass::Lost,
        ] {
            assert!(!slot.count(class, &worker), "{class:?}");
        }
        assert!(slot.count(FailureClass::OutOfMemory, &worker));
    }
}
