//! Errors as gRPC statuses: the one place that says which is which.

use tonic::{Code, Status};

use crate::{Error, ErrorKind};

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let code = match error {
            // A worker must not try again: the other side has to change.
            Error::Worker { .. } => Code::FailedPrecondition,
            ref error => match error.kind() {
                ErrorKind::Invalid => Code::InvalidArgument,
                ErrorKind::NotFound => Code::NotFound,
                ErrorKind::Unavailable => Code::Unavailable,
                ErrorKind::Data => Code::DataLoss,
                ErrorKind::Internal => Code::Internal,
            },
        };
        Self::new(code, error.chain())
    }
}

/// Returns the status for a field that must be there and is not.
pub(super) fn missing(field: &str) -> Status {
    Status::invalid_argument(format!("the request lacks `{field}`"))
}
