//! A failed attempt, and what kind of failure it was.

use serde::{Deserialize, Serialize};
use whence_schemas::{Attempt, SlotId, WorkerId};

/// What kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// May pass: store or network.
    Transient,
    /// Did not fit into memory.
    OutOfMemory,
    /// The result does not fit into one object.
    TooLarge,
    /// The model cannot be loaded there.
    Model,
    /// The specification asks for what does not exist.
    Specification,
    /// The input arrived damaged.
    Input,
    /// A defect of ours.
    Internal,
    /// The worker vanished or stood still.
    Lost,
}

impl FailureClass {
    /// Returns its name in records and in the `error_code` of rows that were given up.
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

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The slot.
    pub slot: SlotId,
    /// The attempt.
    pub attempt: Attempt,
    /// Who made it.
    pub worker: WorkerId,
    /// What kind of failure.
    pub class: FailureClass,
    /// What the worker said.
    pub message: String,
}
