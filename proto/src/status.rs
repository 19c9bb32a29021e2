//! What an [`ErrorKind`] means outside a program: its gRPC code and the exit status.
//!
//! Nothing else in the workspace decides this. A server turns a kind into a code and a client turns
//! the code back into a kind, so that both sides and the shell draw the same conclusion from the
//! same error.

use std::error::Error;

use tonic::{Code, Status};
use whence_schemas::ErrorKind;

/// Returns the gRPC code that a server sends for an error of this kind.
pub fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Invalid => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Data => Code::DataLoss,
        ErrorKind::Internal => Code::Internal,
    }
}

/// Classifies a failed call. This also covers the codes that [`code`] never returns, because the
/// transport or a proxy may answer with them.
pub fn kind(status: &Status) -> ErrorKind {
    // A status has a source only if the client itself found the connection broken. Such an error
    // says nothing about the request, whichever code HTTP/2 suggested.
    if status.source().is_some() {
        return ErrorKind::Unavailable;
    }
    match status.code() {
        Code::Ok
        | Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Cancelled
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::Unknown => ErrorKind::Unavailable,
        Code::InvalidArgument
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented => ErrorKind::Invalid,
        Code::NotFound => ErrorKind::NotFound,
        Code::DataLoss => ErrorKind::Data,
        Code::Internal => ErrorKind::Internal,
    }
}

/// Returns the exit status of a program that ends with an error: 2 if the request must change, 1 if
/// the request may be right.
pub fn exit_status(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Invalid | ErrorKind::NotFound => 2,
        ErrorKind::Unavailable | ErrorKind::Data | ErrorKind::Internal => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [ErrorKind; 5] = [
        ErrorKind::Invalid,
        ErrorKind::NotFound,
        ErrorKind::Unavailable,
        ErrorKind::Data,
        ErrorKind::Internal,
    ];

    #[test]
    fn a_client_draws_the_conclusion_the_server_meant() {
        for sent in KINDS {
            assert_eq!(kind(&Status::new(code(sent), "why")), sent);
        }
    }

    #[test]
    fn a_broken_connection_may_pass_whatever_its_code() {
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let status = Status::from_error(Box::new(reset));
        assert_eq!(kind(&status), ErrorKind::Unavailable);
        let mut internal = Status::new(Code::Internal, "h2 protocol error");
        assert_eq!(kind(&internal), ErrorKind::Internal);
        let cause = std::io::Error::other("stream reset");
        internal.set_source(std::sync::Arc::new(cause));
        assert_eq!(kind(&internal), ErrorKind::Unavailable);
    }

    #[test]
    fn only_what_may_pass_is_tried_again_and_only_wrong_requests_exit_with_2() {
        let retried = KINDS.map(ErrorKind::may_pass);
        assert_eq!(retried, [false, false, true, false, false]);
        assert_eq!(KINDS.map(exit_status), [2, 2, 1, 1, 1]);
    }
}
