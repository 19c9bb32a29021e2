//! The wire protocol: the gRPC services of coordinator and workers.
//!
//! The messages are generated from `attribution/v1/*.proto`, where each call documents who sends
//! it, when, and what a retry does. Only the services use these types; the rest of the coordinator
//! and the worker uses the types of `whence-schemas`. [`access`] is how a client reaches a
//! server and proves who it is, [`status`] defines what an error means on the
//! wire; how a caller waits for a server that does not answer is `whence_schemas::retry`.

pub mod access;
pub mod status;

/// Version of the worker protocol. It is raised when a worker that speaks an older version could do
/// harm.
pub const PROTOCOL_VERSION: u32 = 1;

/// The `.proto` files as a `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// What the handler of a gRPC call returns.
pub type Answer<T> = Result<tonic::Response<T>, tonic::Status>;

/// The generated code of the package `attribution.v1`.
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
