//! Why a file on another machine cannot be read, with what to do about it.
//!
//! Readers of rows are built on [`std::io::Read`], and decoders wrap what it fails with in errors of
//! their own. The failure therefore travels inside an [`io::Error`], and [`carried_by`] finds it
//! again: a network that is down must not be reported as a damaged file.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use whence_schemas::ErrorKind;

/// Why a file on another machine cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteFailure {
    /// There is no such file.
    #[error("there is no file `{url}`")]
    Missing {
        /// Where it should be.
        url: String,
    },
    /// The server or store does not let whence read it.
    #[error("access to `{url}` is denied ({reason})")]
    Denied {
        /// The file.
        url: String,
        /// What the server said.
        reason: String,
        /// How to get access.
        next_step: &'static str,
    },
    /// The file is not the one that the job was submitted with.
    #[error("the data file `{url}` is damaged or changed: it was {pinned} and is now {found}")]
    Changed {
        /// The file.
        url: String,
        /// What it was when it was pinned.
        pinned: String,
        /// What the server sends now.
        found: String,
    },
    /// No answer, or a connection that broke; this may pass.
    #[error("cannot read `{url}`: {reason}")]
    Unavailable {
        /// The file.
        url: String,
        /// What happened.
        reason: String,
        /// When the server wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// A place or a server that whence cannot read from.
    #[error("cannot read `{url}`: {reason}")]
    Unsupported {
        /// The file.
        url: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// The Hub does not give a file.
    #[error(transparent)]
    Hub(Box<whence_hub::Error>),
}

impl RemoteFailure {
    /// Returns what can be done about the failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing { .. } => ErrorKind::NotFound,
            Self::Denied { .. } | Self::Unsupported { .. } => ErrorKind::Invalid,
            Self::Changed { .. } => ErrorKind::Data,
            Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::Hub(error) => error.kind(),
        }
    }

    /// Returns the next step to take, if the message does not say it.
    pub fn help(&self) -> Option<String> {
        let step = match self {
            Self::Missing { .. } => "check the spelling of the address",
            Self::Denied { next_step, .. } => next_step,
            Self::Changed { .. } => "submit the job again to read the new file",
            Self::Unavailable { .. } => {
                "check the network and run the same command again to resume"
            }
            Self::Unsupported { .. } => return None,
            Self::Hub(error) => return error.help(),
        };
        Some(step.to_owned())
    }
}

/// The failure as the payload of an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Carried(Arc<RemoteFailure>);

impl From<RemoteFailure> for io::Error {
    fn from(failure: RemoteFailure) -> Self {
        carry(Arc::new(failure))
    }
}

/// Returns an I/O error that carries a failure.
pub(crate) fn carry(failure: Arc<RemoteFailure>) -> io::Error {
    io::Error::other(Carried(failure))
}

/// Returns the failure of a remote file that `error` or one of its causes carries.
pub(crate) fn carried_by(error: &(dyn Error + 'static)) -> Option<Arc<RemoteFailure>> {
    let mut next = Some(error);
    while let Some(error) = next {
        // The cause of an I/O error is that of its payload, so the payload itself is looked at too.
        let payload = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if let Some(payload) = payload
            && let Some(failure) = carried_by(payload)
        {
            return Some(failure);
        }
        if let Some(Carried(failure)) = error.downcast_ref() {
            return Some(Arc::clone(failure));
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use arrow::error::ArrowError;
    use parquet::errors::ParquetError;

    use super::*;

    fn missing() -> io::Error {
        let url = "https://host/a".to_owned();
        RemoteFailure::Missing { url }.into()
    }

    #[test]
    fn a_failure_is_found_in_whatever_decoders_make_of_it() {
        let wrapped: [Box<dyn Error>; 4] = [
            Box::new(missing()),
            Box::new(io::Error::other(missing())),
            Box::new(ArrowError::from(missing())),
            Box::new(ParquetError::from(missing())),
        ];
        for error in wrapped {
            let found = carried_by(error.as_ref()).map(|failure| failure.to_string());
            assert_eq!(found.as_deref(), Some("there is no file `https://host/a`"));
        }
        assert!(carried_by(&io::Error::from(io::ErrorKind::NotFound)).is_none());
    }
}
