//! The gRPC services: decode, call, encode. Types of the wire stop here.

mod jobs;
mod status;
mod workers;

use std::sync::Arc;

use whence_proto::v1::job_service_server::JobServiceServer;
use whence_proto::v1::worker_service_server::WorkerServiceServer;

use crate::Coordinator;

/// Specifications and reports are small, but longer than tonic's own limit allows for.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// Serves the calls of one coordinator.
#[derive(Debug, Clone)]
pub(crate) struct Service(Arc<Coordinator>);

/// Returns what people call.
pub(crate) fn jobs(coordinator: &Arc<Coordinator>) -> JobServiceServer<Service> {
    JobServiceServer::new(Service(Arc::clone(coordinator)))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

/// Returns what workers call.
pub(crate) fn workers(coordinator: &Arc<Coordinator>) -> WorkerServiceServer<Service> {
    WorkerServiceServer::new(Service(Arc::clone(coordinator)))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}
