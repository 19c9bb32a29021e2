//! The messages between workers and coordinator as plain Rust types, independent of protobuf.

use whence_schemas::{Attempt, JobId, SlotId, WorkerClass, WorkerId};

use crate::job::Done;

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
    /// The slot to fill, and the attempt to report it under.
    pub at: AttemptAt,
    /// The job's specification as canonical JSON.
    pub spec_json: String,
    /// Name of the slot's object, relative to the storage root.
    pub slot_key: String,
    /// Number of rows in the slot.
    pub rows: u64,
    /// Whether a worker with more memory is there, to which rows that need it are left.
    pub larger_worker: bool,
}

/// The progress of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptProgress {
    /// The attempt.
    pub at: AttemptAt,
    /// How far it is.
    pub done: Done,
}

impl AttemptProgress {
    /// Makes the progress of an attempt that has not reported any yet.
    pub(crate) fn none(at: &AttemptAt) -> Self {
        Self {
            at: at.clone(),
            done: Done::default(),
        }
    }
}

/// What a worker says about itself when it registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its name.
    pub worker: WorkerId,
    /// Version of the protocol it speaks; must equal the coordinator's.
    pub protocol_version: u32,
    /// Numerics version of its engine; must equal the coordinator's, so that all workers of a job
    /// compute the same scores.
    pub numerics_version: u32,
    /// What it computes with.
    pub class: WorkerClass,
    /// Attempts it is working on, if it registers again after losing its connection.
    pub in_flight: Vec<AttemptAt>,
}

/// The answer to a request for slots.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Acquired {
    /// The leased slots; empty if none became free in time.
    pub assigned: Vec<Assigned>,
    /// Whether the coordinator is shutting down.
    pub is_draining: bool,
}
