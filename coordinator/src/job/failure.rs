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
    /// The store does not take the worker's results, and waiting does not help.
    Storage,
    /// The worker received damaged input.
    Input,
    /// A bug in whence.
    Internal,
    /// The worker vanished.
    Lost,
    /// The worker was heard of all the time, but made no progress for too long.
    Stuck,
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
            Self::Storage => "storage",
            Self::Input => "input",
            Self::Internal => "internal",
            Self::Lost => "lost",
            Self::Stuck => "stuck",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{attempt, slot, worker};

    #[test]
    fn a_record_names_the_class_as_an_error_row_does() {
        for class in [
            FailureClass::Transient,
            FailureClass::OutOfMemory,
            FailureClass::TooLarge,
            FailureClass::Model,
            FailureClass::Specification,
            FailureClass::Storage,
            FailureClass::Input,
            FailureClass::Internal,
            FailureClass::Lost,
            FailureClass::Stuck,
        ] {
            let failure = Failure {
                slot: slot(3).split()[1].clone(),
                attempt: attempt(7),
                worker: worker("a"),
                class,
                message: "it broke".to_owned(),
            };
            // The form in which earlier releases wrote it, so it must stay readable.
            let record = serde_json::json!({
                "slot": "p000003-1",
                "attempt": "00000000000000000000000007",
                "worker": "a",
                "class": class.code(),
                "message": "it broke",
            });
            assert_eq!(serde_json::to_value(&failure).unwrap(), record);
            let read: Failure = serde_json::from_value(record).unwrap();
            assert_eq!(read, failure);
        }
    }
}
