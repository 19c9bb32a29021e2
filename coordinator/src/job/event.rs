//! The events that change a job's state.

use whence_schemas::{Attempt, SlotId, WorkerId};

use super::failure::Failure;
use super::lease::Done;
use super::slot::Fill;

/// Something that happened to a job. Events may arrive late, repeatedly or out of order.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A slot was leased.
    Leased {
        /// The slot.
        slot: SlotId,
        /// The new attempt.
        attempt: Attempt,
        /// The worker that makes it.
        worker: WorkerId,
    },
    /// A worker reports that it is still working on an attempt. An unknown attempt, such as one
    /// from before a restart, gets a lease if its slot is pending or has only one lease.
    Renewed {
        /// The slot.
        slot: SlotId,
        /// The attempt.
        attempt: Attempt,
        /// The worker that makes it.
        worker: WorkerId,
        /// How far it is.
        done: Done,
    },
    /// A worker gave an attempt back unfinished.
    Released {
        /// The slot.
        slot: SlotId,
        /// The attempt.
        attempt: Attempt,
    },
    /// A worker reported that its slot is filled, and the coordinator finds nothing there.
    Unseen {
        /// The slot.
        slot: SlotId,
        /// The attempt.
        attempt: Attempt,
        /// How many workers are known; see [`Event::Failed`].
        num_workers: usize,
    },
    /// A worker reported that an attempt failed.
    Failed {
        /// Which attempt failed, and how.
        failure: Failure,
        /// A random number in `0..1` that scales the pause before the next attempt. It keeps the
        /// slots that failed together from being retried together.
        jitter: f64,
        /// How many workers are known. With few of them, a model that none can load fails the job
        /// sooner.
        num_workers: usize,
    },
    /// An attempt had too little memory, of this many bytes, and a worker with more is there.
    NeedsMemory(Failure, u64),
    /// An object with rows was seen in a slot.
    Filled {
        /// The slot.
        slot: SlotId,
        /// The object.
        fill: Fill,
        /// Tokens attributed for it; 0 if its worker did not report them.
        tokens: u64,
    },
    /// A tombstone was seen in a slot.
    Split {
        /// The slot.
        slot: SlotId,
        /// Length of the tombstone.
        bytes: u64,
    },
    /// The object in a filled or split slot was read and is whole.
    Verified {
        /// The slot.
        slot: SlotId,
        /// Digest of the object.
        digest: String,
    },
    /// The object in a slot is not its result, or not all of it.
    Damaged {
        /// The slot.
        slot: SlotId,
        /// What is wrong with the object.
        reason: String,
    },
    /// The object of a filled slot is gone.
    Missing(SlotId),
    /// The manifest was written.
    Sealed,
    /// Somebody canceled the job.
    Cancelled,
    /// Somebody paused the job, or let it go on.
    Paused(bool),
    /// Somebody submitted the job again.
    Resubmitted,
    /// The rows of the dataset can no longer be read as they were when the job was submitted.
    DatasetUnreadable(String),
    /// The store holds the record that the job failed for good.
    FoundFailed(String),
    /// The store holds the record of an attempt that failed under an earlier coordinator.
    FoundFailure(Failure),
}
