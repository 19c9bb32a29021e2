//! Converts errors to gRPC statuses.

use tonic::Status;
use whence_proto::status;
use whence_schemas::chain;

use crate::Error;

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        Self::new(status::code(error.kind()), chain(&error))
    }
}

/// Returns the status for a request that lacks a required field.
pub(super) fn missing(field: &str) -> Status {
    Status::invalid_argument(format!("the request lacks `{field}`"))
}
