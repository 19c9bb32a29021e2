//! The coordinator's errors, and what kind of problem each one is.

use whence_schemas::store::StoreError;
use whence_schemas::{Epoch, ErrorKind, InvalidId, JobId};

/// Why the coordinator could not do what it was asked to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store of the storage root failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Text that is not a valid id.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// A specification that cannot be read, or that this version cannot serve.
    #[error("this job cannot be run: {reason}")]
    Specification {
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// A dataset that cannot be read.
    #[error(transparent)]
    Dataset(#[from] whence_datasets::Error),
    /// A job that was never submitted.
    #[error("there is no job `{0}` below this storage root; `whence status` lists the jobs")]
    UnknownJob(JobId),
    /// An attempt at a slot that the job does not have.
    #[error("job `{job}` has no slot `{slot}`")]
    UnknownSlot {
        /// The job.
        job: JobId,
        /// The unknown slot.
        slot: String,
    },
    /// A job that ended without a result.
    #[error("job `{job}` {how}; its filled slots are kept, a new run needs another `--run-id`")]
    Ended {
        /// The job.
        job: JobId,
        /// How it ended.
        how: String,
    },
    /// A job that has ended, and so can be neither paused nor resumed.
    #[error("job `{job}` {how}; only a running job can be paused")]
    NotRunning {
        /// The job.
        job: JobId,
        /// How it ended.
        how: String,
    },
    /// A job whose failed rows cannot be computed again.
    #[error("job `{job}` cannot be retried: {reason}")]
    Retry {
        /// The job.
        job: JobId,
        /// Why not, and what to do.
        reason: String,
    },
    /// An object of the storage root whose content is invalid.
    #[error("stored object `{key}` cannot be read: {reason}")]
    Stored {
        /// Name of the object.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A worker whose version does not match this coordinator's.
    #[error("this worker cannot serve here: {reason}")]
    Worker {
        /// What differs.
        reason: String,
    },
    /// A newer coordinator serves the storage root.
    #[error("coordinator of epoch {ours} stepped down: epoch {newer} has been claimed")]
    SteppedDown {
        /// This one's epoch.
        ours: Epoch,
        /// The newer coordinator's epoch.
        newer: Epoch,
    },
    /// Too many shards are being sent.
    #[error("the coordinator sends as many shards as it can; try again in a while")]
    Busy,
    /// The coordinator is shutting down.
    #[error("the coordinator is shutting down; try again in a while")]
    Draining,
    /// A setting that a coordinator cannot work with.
    #[error("`{setting}` cannot be {value}: {reason}")]
    Setting {
        /// The command-line option.
        setting: &'static str,
        /// What was given.
        value: String,
        /// What it should be.
        reason: String,
    },
    /// An address that cannot be listened on, or connections that failed.
    #[error("cannot serve on `{address}`: {reason}")]
    Listen {
        /// The address.
        address: String,
        /// Why not.
        reason: String,
    },
    /// A bug in whence.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// Returns whether a job must end because its dataset can no longer be read as planned. Failures
    /// of a network may pass, and end nothing.
    pub fn ends_job(&self) -> bool {
        matches!(self, Self::Dataset(error) if !error.kind().may_pass())
    }

    /// Returns the kind of error. It decides the gRPC status, the exit code and whether a caller
    /// retries.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Dataset(error) => error.kind(),
            Self::Id(_)
            | Self::Specification { .. }
            | Self::Ended { .. }
            | Self::NotRunning { .. }
            | Self::Retry { .. }
            | Self::Worker { .. }
            | Self::Setting { .. }
            | Self::Listen { .. } => ErrorKind::Invalid,
            Self::UnknownJob(_) | Self::UnknownSlot { .. } => ErrorKind::NotFound,
            Self::SteppedDown { .. } | Self::Draining | Self::Busy => ErrorKind::Unavailable,
            Self::Stored { .. } => ErrorKind::Data,
            Self::Internal(_) => ErrorKind::Internal,
        }
    }
}
