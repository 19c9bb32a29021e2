//! What can go wrong in a worker, and what the coordinator should make of it.

use whence_proto::v1::FailureClass;
use whence_schemas::store::StoreError;

/// Why a worker stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The coordinator refuses this worker for good.
    #[error("the coordinator refuses this worker: {reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
    /// Nobody answered for too long.
    #[error("no coordinator answered for {grace}; start one, then this worker again", grace = humantime::format_duration(*.grace))]
    Orphaned {
        /// How long the worker waited.
        grace: std::time::Duration,
    },
    /// The store the coordinator named cannot be used from here.
    #[error("the coordinator's store cannot be used from here")]
    Store(#[from] StoreError),
}

/// Why one attempt could not fill its slot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// Told to stop: the slot is filled, the job cancelled, or the worker shutting down.
    #[error("stopped")]
    Stopped,
    /// The coordinator could not be asked.
    #[error("fetch shard: {0}")]
    Fetch(#[source] Box<tonic::Status>),
    /// The rows came damaged.
    #[error("decode shard: {0}")]
    Input(#[from] arrow::error::ArrowError),
    /// The job's specification cannot be read here.
    #[error("read specification: {0}")]
    Unreadable(#[source] serde_json::Error),
    /// The specification asks for what does not exist.
    #[error("{0}")]
    Specification(String),
    /// The model cannot be loaded here.
    #[error("{0}")]
    Model(String),
    /// The table could not be encoded.
    #[error("encode table: {0}")]
    Encode(#[from] parquet::errors::ParquetError),
    /// The result is larger than one object may be.
    #[error("the result has {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The store did not take the result.
    #[error("commit: {0}")]
    Store(#[from] StoreError),
    /// The device's thread is gone.
    #[error("the device stopped")]
    Device,
    /// The worker panicked.
    #[error("the worker panicked: {0}; please report it")]
    Panicked(String),
}

impl Failure {
    /// Returns what the coordinator should make of it.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Stopped | Self::Fetch(_) | Self::Store(_) => FailureClass::Transient,
            Self::Input(_) => FailureClass::Input,
            Self::Unreadable(_) | Self::Specification(_) => FailureClass::Specification,
            Self::Model(_) => FailureClass::Model,
            Self::TooLarge { .. } => FailureClass::TooLarge,
            Self::Encode(_) | Self::Device | Self::Panicked(_) => FailureClass::Internal,
        }
    }
}
