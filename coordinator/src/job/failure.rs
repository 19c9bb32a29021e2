//! A failed attempt, and what kind of failure it was.

use serde::{Deserialize, Serialize};
use whence_schemas::{Attempt, SlotId, WorkerId};

/// What kind of failure it was. The class decides whether the slot is retried, split or given up,
/// or the whole job fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// A failure of the store or the network, which may pass.
    Transient,
    /// The rows did not fit into the worker's memory.
    OutOfMemory,
    /// The result does not fit into one object.
    TooLarge,
    /// The worker could not load the model.
    Model,
    /// The specification asks for something that does not exist.
    Specification,
    /// The worker received damaged input.
    Input,
    /// A bug in whence.
    Internal,
    /// The worker vanished, or made no progress for too long.
    Lost,
}

impl FailureClass {
    /// Returns its name, as used in failure records and in the `error_code` of error rows.
    pub fn code(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::OutOfMemory => "out_of_memory",
            Self::TooLarge => "too_large",
            Self::Model => "model",
            Self::Specification => "specification",
            Self::Input => "input",
            Self::Internal => "internal",
            Self::Lost => "lost",
        }
    }
}

/// A failed attempt, as it is recorded in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The slot.
    pub slot: SlotId,
    /// The attempt.
    pub attempt: Attempt,
    /// The worker that made it.
    pub worker: WorkerId,
    /// What kind of failure.
    pub class: FailureClass,
    /// The error message of the worker, or of the coordinator if the attempt was lost.
    pub message: String,
}
