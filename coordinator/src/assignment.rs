//! What workers and coordinator tell each other about attempts, in types of our own.

use whence_schemas::{Attempt, JobId, SlotId, WorkerId};

/// Names one attempt at one slot of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptAt {
    /// The job.
    pub job: JobId,
    /// The slot.
    pub slot: SlotId,
    /// The attempt.
    pub attempt: Attempt,
}

/// A slot handed to a worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Assigned {
    /// What it may fill, and in whose name.
    pub at: AttemptAt,
    /// The job's specification as canonical JSON.
    pub spec_json: String,
    /// Object name of the slot.
    pub slot_key: String,
    /// Rows of the slot.
    pub rows: u64,
}

/// How far an attempt is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptProgress {
    /// The attempt.
    pub at: AttemptAt,
    /// Rows done.
    pub rows_done: u64,
    /// Tokens done.
    pub tokens_done: u64,
}

impl AttemptProgress {
    /// An attempt of which no progress is known.
    pub(crate) fn none(at: &AttemptAt) -> Self {
        Self {
            at: at.clone(),
            rows_done: 0,
            tokens_done: 0,
        }
    }
}

/// What a worker says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its name.
    pub worker: WorkerId,
    /// Protocol it speaks.
    pub protocol_version: u32,
    /// Numerics of its engine.
    pub numerics_version: u32,
    /// Attempts it works on.
    pub in_flight: Vec<AttemptAt>,
}

/// The answer to a request for slots.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Acquired {
    /// The slots.
    pub assigned: Vec<Assigned>,
    /// The coordinator is shutting down.
    pub is_draining: bool,
}
