//! The gRPC services: they decode a request, call the coordinator and encode its answer. Protobuf
//! messages are used only here; the other modules have types of their own.

mod jobs;
mod status;
mod workers;

use std::sync::Arc;

use whence_proto::v1::job_service_server::JobServiceServer;
use whence_proto::v1::worker_service_server::WorkerServiceServer;

use crate::Coordinator;

/// Largest message. Specifications and reports are usually small, but may exceed tonic's default
/// limit.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// Serves the calls of one coordinator.
#[derive(Debug, Clone)]
pub(crate) struct Service(Arc<Coordinator>);

/// Returns the gRPC service for people.
pub(crate) fn jobs(coordinator: &Arc<Coordinator>) -> JobServiceServer<Service> {
    JobServiceServer::new(Service(Arc::clone(coordinator)))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

/// Returns the gRPC service for workers.
pub(crate) fn workers(coordinator: &Arc<Coordinator>) -> WorkerServiceServer<Service> {
    WorkerServiceServer::new(Service(Arc::clone(coordinator)))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

#[cfg(test)]
mod tests;
