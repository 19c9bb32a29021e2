//! What can go wrong in a coordinator.

use std::path::PathBuf;

use whence_schemas::store::StoreError;
use whence_schemas::{Epoch, ErrorKind, InvalidId, JobId};

/// Why the coordinator could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The storage root failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Text that is no id.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// A specification that cannot be read, or that this version cannot serve.
    #[error("this job cannot be run: {reason}")]
    Specification {
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// A slice that the grammar of `datasets` does not have, or that these files cannot serve.
    #[error("cannot read the split `{split}`: {reason}")]
    Split {
        /// What was given.
        split: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A field path that is not one.
    #[error(
        "`{field}` is not a field: {reason}; write `column`, `translation.en` or `answers.text[0]`"
    )]
    Field {
        /// What was given.
        field: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A field that no row has.
    #[error("no row has a field `{field}`; the fields are {}{}", list(.columns), nearest(.suggestion.as_deref()))]
    MissingField {
        /// What was asked for.
        field: String,
        /// What there is.
        columns: Vec<String>,
        /// The nearest of them.
        suggestion: Option<String>,
    },
    /// A dataset without files, or a slice without rows.
    #[error("there is nothing to attribute: {reason}")]
    Empty {
        /// Why not.
        reason: String,
    },
    /// A data file that cannot be read.
    #[error("cannot read the data file `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },
    /// A data file of a kind we do not read.
    #[error("cannot read the data file `{}`: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// A data file whose bytes are not those the job was submitted with, or are damaged.
    #[error("the data file `{}` is damaged or changed: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A job nobody submitted.
    #[error("there is no job `{0}` below this storage root; `whence status` lists the jobs")]
    UnknownJob(JobId),
    /// An attempt at a slot that the job does not have.
    #[error("job `{job}` has no slot `{slot}`")]
    UnknownSlot {
        /// The job.
        job: JobId,
        /// What was asked for.
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
    /// An object of the storage root that holds what it must not.
    #[error("stored object `{key}` cannot be read: {reason}")]
    Stored {
        /// The object.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A worker that cannot work with this coordinator.
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
        /// The other's.
        newer: Epoch,
    },
    /// The coordinator is shutting down.
    #[error("the coordinator is shutting down; try again in a while")]
    Draining,
    /// A setting that no coordinator can serve with.
    #[error("`{setting}` cannot be {value}: {reason}")]
    Setting {
        /// The option.
        setting: &'static str,
        /// What was given.
        value: String,
        /// What it should be.
        reason: String,
    },
    /// An address that cannot be served.
    #[error("cannot serve on `{address}`: {reason}")]
    Listen {
        /// The address.
        address: String,
        /// What stands against it.
        reason: String,
    },
    /// A defect of ours.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// Returns what can be done about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Id(_)
            | Self::Specification { .. }
            | Self::Split { .. }
            | Self::Field { .. }
            | Self::MissingField { .. }
            | Self::Empty { .. }
            | Self::File { .. }
            | Self::Format { .. }
            | Self::Ended { .. }
            | Self::Worker { .. }
            | Self::Setting { .. }
            | Self::Listen { .. } => ErrorKind::Invalid,
            Self::UnknownJob(_) | Self::UnknownSlot { .. } => ErrorKind::NotFound,
            Self::SteppedDown { .. } | Self::Draining => ErrorKind::Unavailable,
            Self::Content { .. } | Self::Stored { .. } => ErrorKind::Data,
            Self::Internal(_) => ErrorKind::Internal,
        }
    }
}

fn list(names: &[String]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    if quoted.is_empty() {
        "none".to_owned()
    } else {
        quoted.join(", ")
    }
}

fn nearest(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}
