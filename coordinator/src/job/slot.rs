//! One slot: what stands in it, or who tries to fill it, and how often that went wrong.

use std::collections::BTreeSet;
use std::ops::Range;

use whence_schemas::WorkerId;

use super::{FailureClass, Lease, Timestamp};

/// Attempts that may fail or be lost before the slot's rows are taken apart.
const MAX_FAILURES: usize = 3;

/// What stands in a slot, or how it comes to be filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotState {
    /// Nobody works on it.
    Pending {
        /// Not to be leased before.
        not_before: Timestamp,
    },
    /// Somebody does; two where the second is a straggler's backup.
    Leased(Vec<Lease>),
    /// Given up: the coordinator is about to fill it itself. Not to be leased.
    Closing(Closing),
    /// An object with rows stands in it.
    Filled(Fill),
    /// A tombstone stands in it: its halves hold the rows.
    Split {
        /// Length of the tombstone.
        bytes: u64,
    },
}

/// How the coordinator fills a slot that no worker could.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closing {
    /// With a tombstone, so that its halves can be tried.
    Split,
    /// With an error row: it has one row and cannot be split.
    Quarantine {
        /// What went wrong.
        class: FailureClass,
        /// The same in words.
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
    /// Rows of the dataset it answers.
    pub rows: u64,
    /// How many of them have an error row.
    pub errors: u64,
    /// Its length.
    pub bytes: u64,
}

/// A slot and its history.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) rows: Range<u64>,
    pub(super) state: SlotState,
    /// Attempts that vanished with their worker, and the workers.
    pub(super) losses: usize,
    lost_on: BTreeSet<WorkerId>,
    failures: usize,
    out_of_memory: usize,
    /// Pauses so far; each is twice as long as the last.
    pub(super) pauses: u32,
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
            failures: 0,
            out_of_memory: 0,
            pauses: 0,
        }
    }

    pub(super) fn num_rows(&self) -> u64 {
        self.rows.end - self.rows.start
    }

    /// Counts a failed attempt. Returns whether the slot should be given up.
    ///
    /// What may pass never counts: an outage of the store must not take the dataset apart.
    pub(super) fn count(&mut self, class: FailureClass, worker: &WorkerId) -> bool {
        match class {
            FailureClass::Transient | FailureClass::Model | FailureClass::Specification => false,
            FailureClass::TooLarge => true,
            FailureClass::OutOfMemory => {
                self.out_of_memory += 1;
                self.out_of_memory >= 2
            }
            FailureClass::Input | FailureClass::Internal => {
                self.failures += 1;
                self.failures >= MAX_FAILURES
            }
            FailureClass::Lost => {
                self.losses += 1;
                self.lost_on.insert(worker.clone());
                // One row gets every chance: giving it up costs the row.
                let enough = if self.num_rows() > 1 { 2 } else { MAX_FAILURES };
                self.losses >= MAX_FAILURES || self.lost_on.len() >= enough
            }
        }
    }
}
