//! The wire protocol: the gRPC services of coordinator and workers.
//!
//! The messages are generated from `attribution/v1/*.proto`, where each call documents who sends it,
//! when, and what a retry does. Only the services use these types; the rest of coordinator and worker
//! uses the types of `whence-schemas`. [`status`] says what an error means on the wire, and [`retry`]
//! how a caller waits for a server that does not answer.

pub mod retry;
pub mod status;

/// Version of the worker protocol. It is raised when an older worker could do harm.
pub const PROTOCOL_VERSION: u32 = 1;

/// Package `attribution.v1`, as generated.
#[allow(
    missing_docs,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    unused_qualifications,
    reason = "generated from the documented .proto files"
)]
pub mod v1 {
    tonic::include_proto!("attribution.v1");
}
