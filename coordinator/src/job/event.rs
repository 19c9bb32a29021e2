//! What happens to a job.

use whence_schemas::{Attempt, SlotId, WorkerId};

use super::failure::Failure;
use super::slot::Fill;

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A slot was leased.
    Leased {
        /// The slot.
        slot: SlotId,
        /// The new attempt.
        attempt: Attempt,
        /// Who makes it.
        worker: WorkerId,
    },
    /// A worker still works on an attempt. One we do not know is adopted, if its slot has room.
    Renewed {
        /// The slot.
        slot: SlotId,
        /// The attempt.
        attempt: Attempt,
        /// Who makes it.
        worker: WorkerId,
        /// Rows done so far.
        rows_done: u64,
        /// Tokens done so far.
        tokens_done: u64,
    },
    /// A worker gave an attempt back.
    Released {
        /// The slot.
        slot: SlotId,
        /// The attempt.
        attempt: Attempt,
    },
    /// An attempt failed.
    Failed {
        /// What is known of it.
        failure: Failure,
        /// In `0..1`: spreads the retries of many.
        jitter: f64,
        /// Workers there are, to know when all of them agree.
        num_workers: usize,
    },
    /// An object with rows was seen in a slot.
    Filled {
        /// The slot.
        slot: SlotId,
        /// The object.
        fill: Fill,
        /// Tokens attributed for it, if we were told.
        tokens: u64,
    },
    /// A tombstone was seen in a slot.
    Split {
        /// The slot.
        slot: SlotId,
        /// Its length.
        bytes: u64,
    },
    /// Time passed.
    Tick,
    /// The manifest stands.
    Sealed,
    /// A person cancelled the job.
    Cancelled,
    /// A person submitted the job again.
    Resubmitted,
    /// The record of an earlier coordinator says that the job failed for good.
    FoundFailed(String),
    /// The record of an earlier coordinator says that an attempt failed.
    FoundFailure(Failure),
}
