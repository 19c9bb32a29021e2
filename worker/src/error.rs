//! The errors of a worker, and how they are reported to the coordinator.

use whence_proto::access::AccessError;
use whence_proto::v1::FailureClass;
use whence_schemas::ErrorKind;
use whence_schemas::store::StoreError;

use crate::places::PlacesError;

/// Why a worker process ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The coordinator refuses this worker, and will do so again.
    #[error("the coordinator at {address} refuses this worker: {reason}")]
    Refused {
        /// Address of the coordinator.
        address: String,
        /// The message of its answer.
        reason: String,
    },
    /// The coordinator answers, but with an error of its own.
    #[error("the coordinator at {address} failed: {reason}")]
    Coordinator {
        /// Address of the coordinator.
        address: String,
        /// The kind of the error, which says what can be done about it.
        kind: ErrorKind,
        /// The message of its answer.
        reason: String,
    },
    /// The coordinator cannot be reached as was asked.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The allowed working memory is less than any computation needs.
    #[error(
        "--memory allows {} MiB, and a worker needs at least {} MiB, more for large models; raise --memory",
        allowed >> 20,
        least.div_ceil(1 << 20)
    )]
    Memory {
        /// Memory that a computation may use, in bytes.
        allowed: u64,
        /// Memory that the smallest computation needs, in bytes.
        least: u64,
    },
    /// The devices cannot be used.
    #[error(transparent)]
    Places(#[from] PlacesError),
    /// The folder of `--spool` cannot be written.
    #[error("--spool: `{folder}` cannot be written; name another folder, or --spool-limit 0")]
    Spool {
        /// The folder.
        folder: String,
        /// Why not.
        source: std::io::Error,
    },
    /// No coordinator answered for longer than the grace period.
    #[error("no coordinator answered at {address} for {grace}; start one, then this worker again, or name another with `--coordinator`", grace = humantime::format_duration(*.grace))]
    Orphaned {
        /// Address where a coordinator was expected.
        address: String,
        /// How long the worker waited.
        grace: std::time::Duration,
    },
    /// The store that the coordinator named cannot be used from this machine.
    #[error("the coordinator's store cannot be used from here")]
    Store(#[from] StoreError),
    /// The operating system refused something that a worker needs.
    #[error("cannot {action}")]
    System {
        /// What the worker tried to do, as a verb with its object.
        action: &'static str,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Returns the kind of the error, from which the exit status follows.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused { .. }
            | Self::Access(_)
            | Self::Memory { .. }
            | Self::Places(_)
            | Self::Spool { .. } => ErrorKind::Invalid,
            Self::Coordinator { kind, .. } => *kind,
            Self::Orphaned { .. } | Self::System { .. } => ErrorKind::Unavailable,
            Self::Store(error) => error.kind(),
        }
    }
}

/// Why an attempt could not fill its slot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The task was told to stop: its slot is filled, its job was canceled, or the worker is
    /// shutting down.
    #[error("stopped")]
    Stopped,
    /// The coordinator did not send the rows.
    #[error("fetch shard: {}", .0.message())]
    Fetch(Box<tonic::Status>),
    /// The rows that arrived are damaged.
    #[error("decode shard")]
    Input(#[from] arrow::error::ArrowError),
    /// The specification asks for something that does not exist, such as an unknown method.
    #[error("{0}")]
    Specification(String),
    /// The model cannot be loaded or run on this machine.
    #[error("{0}")]
    Model(String),
    /// The table could not be encoded.
    #[error("encode table")]
    Encode(#[from] parquet::errors::ParquetError),
    /// The result of a single row is larger than one object may be.
    #[error("the result has {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// Size of the result, in bytes.
        bytes: usize,
        /// Maximum size of one object, in bytes.
        limit: usize,
    },
    /// No row fits into this worker's memory, and a larger worker is there.
    #[error("{0}")]
    OutOfMemory(String),
    /// The store did not accept the result.
    #[error("commit")]
    Store(#[from] StoreError),
    /// The device's thread has ended.
    #[error("the device stopped")]
    Device,
    /// The task panicked outside the engine.
    #[error("the worker panicked: {0}; please report it")]
    Panicked(String),
}

impl Failure {
    /// Returns the class that is reported to the coordinator. It decides whether the slot is tried
    /// again, split, or fails its job.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Stopped | Self::Fetch(_) => FailureClass::Transient,
            Self::Store(StoreError::Refused { .. }) => FailureClass::Storage,
            // All but damage: an object in the slot that is damaged stays damaged, so trying again
            // would not help.
            Self::Store(error) if error.kind() != ErrorKind::Data => FailureClass::Transient,
            Self::Input(_) => FailureClass::Input,
            Self::Specification(_) => FailureClass::Specification,
            Self::Model(_) => FailureClass::Model,
            Self::TooLarge { .. } => FailureClass::TooLarge,
            Self::OutOfMemory(_) => FailureClass::OutOfMemory,
            Self::Store(_) | Self::Encode(_) | Self::Device | Self::Panicked(_) => {
                FailureClass::Internal
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use whence_schemas::chain;

    use super::*;

    fn unavailable() -> StoreError {
        StoreError::Unavailable {
            url: "s3://bucket".to_owned(),
            action: "create",
            key: "part-p000000.parquet".to_owned(),
            source: "503".into(),
        }
    }

    fn damaged() -> StoreError {
        StoreError::Damaged {
            url: "s3://bucket".to_owned(),
            key: "part-p000000.parquet".to_owned(),
            reason: "its footer has no `whence.slot`".to_owned(),
        }
    }

    #[test]
    fn only_a_store_that_may_come_back_is_tried_again() {
        let outage = Failure::Store(unavailable());
        assert_eq!(outage.class(), FailureClass::Transient);
        let damage = Failure::Store(damaged());
        assert_eq!(damage.class(), FailureClass::Internal);
        let full = Failure::Store(StoreError::Refused {
            url: "file:///root".to_owned(),
            action: "create",
            key: "part-p000000.parquet".to_owned(),
            source: std::io::Error::from(std::io::ErrorKind::StorageFull).into(),
        });
        assert_eq!(full.class(), FailureClass::Storage);
    }

    #[test]
    fn a_damaged_object_is_named_with_what_is_wrong() {
        let message = chain(&Failure::Store(damaged()));
        for part in ["part-p000000.parquet", "`whence.slot`", "s3://bucket"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn the_exit_status_of_a_worker_follows_from_its_error() {
        let status = |error: Error| whence_proto::status::exit_status(error.kind());
        let refused = Error::Refused {
            address: "http://c:1".to_owned(),
            reason: "other release".to_owned(),
        };
        assert_eq!(status(refused), 2);
        assert_eq!(status(Error::Store(unavailable())), 1);
        assert_eq!(status(Error::Store(damaged())), 1);
    }
}
