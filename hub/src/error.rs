//! Everything that can go wrong, with what to do about it.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use whence_schemas::ErrorKind;
use whence_schemas::retry::in_words;

use crate::digest::Digest;
use crate::repo::{RepoId, Revision, Snapshot};

/// What a request is about: a repository at a revision, and one of its files if `file` is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The repository.
    pub repo: RepoId,
    /// The revision or commit.
    pub revision: String,
    /// Path of the file inside the repository.
    pub file: Option<String>,
}

impl Subject {
    pub(crate) fn revision(repo: &RepoId, revision: &Revision) -> Self {
        Self {
            repo: repo.clone(),
            revision: revision.to_string(),
            file: None,
        }
    }

    pub(crate) fn snapshot(snapshot: &Snapshot) -> Self {
        Self {
            repo: snapshot.repo.clone(),
            revision: snapshot.commit.to_string(),
            file: None,
        }
    }

    pub(crate) fn file(snapshot: &Snapshot, file: &str) -> Self {
        Self {
            file: Some(file.to_owned()),
            ..Self::snapshot(snapshot)
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "file `{file}` of ")?;
        }
        let kind = self.repo.kind();
        write!(f, "{kind} `{}` at `{}`", self.repo, self.revision)
    }
}

/// Why something could not be had from the Hub.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Offline mode is on, and the cache does not hold it.
    #[error("the {0} is not in the cache, and offline mode does not ask the Hub")]
    Offline(Subject),
    /// There is no such repository, or the token does not open it: the Hub does not tell which.
    #[error("the Hub knows no {kind} `{}`, or it is private", subject.repo, kind = subject.repo.kind())]
    RepoNotFound {
        /// What was asked for.
        subject: Subject,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// The repository has no such branch, tag or commit.
    #[error("{kind} `{}` has no revision `{}`", .0.repo, .0.revision, kind = .0.repo.kind())]
    RevisionNotFound(Subject),
    /// The repository has no such file.
    #[error("there is no {0}")]
    FileNotFound(Subject),
    /// The repository's owners open it on request only.
    #[error("access to {kind} `{}` has to be requested from its authors", subject.repo, kind = subject.repo.kind())]
    Gated {
        /// What was asked for.
        subject: Subject,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// The Hub has closed the repository.
    #[error("the Hub has disabled {kind} `{}`", .0.repo, kind = .0.repo.kind())]
    Disabled(Subject),
    /// The Hub does not know the token.
    #[error("the Hub does not accept the access token")]
    InvalidToken,
    /// The token is valid but does not allow this.
    #[error("the Hub does not allow access to {subject}: {message}")]
    Forbidden {
        /// What was asked for.
        subject: Subject,
        /// The Hub's reason.
        message: String,
    },
    /// Too many requests in the Hub's time window.
    #[error("the Hub limits the rate of requests{}", after(*retry_after))]
    RateLimited {
        /// When to ask again, if the Hub says so.
        retry_after: Option<Duration>,
    },
    /// The Hub failed.
    #[error("the Hub failed to answer for {subject} (HTTP status {status})")]
    Server {
        /// What was asked for.
        subject: Subject,
        /// The status.
        status: u16,
    },
    /// The Hub declined the request for a reason that has no case of its own.
    #[error("the Hub declined the request for {subject} (HTTP status {status}): {message}")]
    Declined {
        /// What was asked for.
        subject: Subject,
        /// The status.
        status: u16,
        /// The Hub's reason.
        message: String,
    },
    /// No connection, or the connection broke.
    #[error("whence cannot reach the Hub at `{host}`")]
    Unreachable {
        /// The host.
        host: String,
        /// The cause.
        source: reqwest::Error,
    },
    /// No answer in time.
    #[error("`{host}` did not answer in time")]
    TimedOut {
        /// The host.
        host: String,
        /// The cause.
        source: reqwest::Error,
    },
    /// The body ended early.
    #[error("the {subject} ended after {received} of {size} bytes")]
    CutShort {
        /// The file.
        subject: Subject,
        /// Bytes that arrived.
        received: u64,
        /// Bytes that the file has.
        size: u64,
    },
    /// The file has another size than the list of files says.
    #[error("the {subject} has {found} bytes, but the list of files says {expected}")]
    WrongSize {
        /// The file.
        subject: Subject,
        /// Size by the list of files.
        expected: u64,
        /// Size by the answer.
        found: u64,
    },
    /// The bytes asked for are not all in the file.
    #[error("bytes {} to {} were asked for, but the {subject} has {size}", range.start, range.end)]
    OutOfRange {
        /// The file.
        subject: Subject,
        /// The bytes.
        range: Range<u64>,
        /// Bytes that the file has.
        size: u64,
    },
    /// The bytes are not those that the Hub announced.
    #[error("the {subject} is damaged: expected {expected}, received {found}")]
    Damaged {
        /// The file.
        subject: Box<Subject>,
        /// Digest by the Hub's list of files.
        expected: Digest,
        /// Digest of what arrived.
        found: Digest,
    },
    /// The answer is not what the Hub answers.
    #[error("`{host}` does not answer like the Hub: {problem}")]
    NotAHub {
        /// The host.
        host: String,
        /// What is wrong with the answer.
        problem: String,
    },
    /// A path in a repository that leads out of it.
    #[error("the {subject} names the path `{path}`, which leads out of the repository")]
    UnsafePath {
        /// The repository.
        subject: Subject,
        /// The path.
        path: String,
    },
    /// The HTTP client cannot be set up, for example without any root certificate.
    #[error("cannot set up HTTPS")]
    Client(#[source] reqwest::Error),
    /// The system gives no threads or no polling.
    #[error("cannot start the thread that asks the Hub")]
    Runtime(#[source] io::Error),
    /// The token file exists but cannot be read.
    #[error("cannot read the access token in `{}`", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The disk of the cache is full.
    #[error("no space left on the disk of `{}`", path.display())]
    DiskFull {
        /// The file that could not be written.
        path: PathBuf,
    },
    /// The cache cannot be read or written.
    #[error("cannot {action} `{}`", path.display())]
    Disk {
        /// What was attempted, such as `create the folder`.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

fn after(time: Option<Duration>) -> String {
    time.map_or_else(String::new, |time| {
        format!("; it answers again in {}", in_words(time))
    })
}

impl Error {
    /// Makes the error of a failed operation on the cache.
    pub(crate) fn disk(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Disk {
                action,
                path,
                source,
            },
        }
    }

    /// Returns what can be done about the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Offline(_)
            | Self::RepoNotFound { .. }
            | Self::RevisionNotFound(_)
            | Self::FileNotFound(_) => ErrorKind::NotFound,
            Self::Gated { .. }
            | Self::Disabled(_)
            | Self::InvalidToken
            | Self::Forbidden { .. }
            | Self::Declined { .. }
            | Self::UnsafePath { .. }
            | Self::OutOfRange { .. }
            | Self::Client(_)
            | Self::TokenFile { .. }
            | Self::NotAHub { .. } => ErrorKind::Invalid,
            Self::RateLimited { .. }
            | Self::Server { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::CutShort { .. }
            | Self::Runtime(_)
            | Self::DiskFull { .. }
            | Self::Disk { .. } => ErrorKind::Unavailable,
            Self::Damaged { .. } | Self::WrongSize { .. } => ErrorKind::Data,
        }
    }

    /// Returns whether the network failed, so that the same request may soon succeed. A full disk
    /// does not pass by itself.
    pub(crate) fn may_pass(&self) -> bool {
        let is_local = matches!(
            self,
            Self::DiskFull { .. } | Self::Disk { .. } | Self::Runtime(_)
        );
        self.kind().may_pass() && !is_local
    }

    /// Returns the next step for the person who reads the error.
    pub fn help(&self) -> Option<String> {
        const LOG_IN: &str = "set HF_TOKEN, or run `hf auth login`";
        const OFFLINE: &str = "check the network; HF_HUB_OFFLINE=1 uses only what the cache holds";
        Some(match self {
            Self::Offline(_) => {
                "unset HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE and HF_DATASETS_OFFLINE to download it"
                    .to_owned()
            }
            Self::RepoNotFound {
                with_token: false, ..
            } => format!("check the spelling; if it is private, {LOG_IN}"),
            Self::RepoNotFound { .. } => {
                "check the spelling, and that the token may read it".to_owned()
            }
            Self::RevisionNotFound(Subject { repo, .. })
            | Self::FileNotFound(Subject { repo, .. }) => {
                format!("the Hub's page of `{repo}` lists its branches, tags and files")
            }
            Self::Gated {
                subject,
                with_token,
            } => {
                let page = format!("request access on the Hub's page of `{}`", subject.repo);
                if *with_token {
                    page
                } else {
                    format!("{page}, then {LOG_IN}")
                }
            }
            Self::InvalidToken => format!("{LOG_IN}; a token expires when it is revoked"),
            Self::Forbidden { .. } => "give the token the right to read it".to_owned(),
            Self::RateLimited { .. } => {
                format!("wait and try again; to get a higher limit, {LOG_IN}")
            }
            Self::Server { .. } | Self::CutShort { .. } => {
                "run the same command again to resume".to_owned()
            }
            Self::Unreachable { .. } | Self::TimedOut { .. } => OFFLINE.to_owned(),
            Self::Damaged { .. } | Self::WrongSize { .. } => {
                "run the same command again; if it fails again, the Hub's copy is damaged"
                    .to_owned()
            }
            Self::NotAHub { .. } => "check HF_ENDPOINT and the proxy".to_owned(),
            Self::DiskFull { .. } => {
                "free space, or set HF_HUB_CACHE to a larger disk; the same command resumes"
                    .to_owned()
            }
            Self::Disk { .. } => "set HF_HUB_CACHE to a folder that you can write".to_owned(),
            Self::Client(_) => "install the system's root certificates".to_owned(),
            Self::TokenFile { .. } => "make the file readable, or set HF_TOKEN".to_owned(),
            Self::Disabled(_)
            | Self::Declined { .. }
            | Self::UnsafePath { .. }
            | Self::Runtime(_)
            | Self::OutOfRange { .. } => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_errors_and_is_not_waited_out() {
        let path = Path::new("/dev/full");
        let mut file = OpenOptions::new().write(true).open(path).unwrap();
        let error = Error::disk("write", path, file.write_all(b"x").unwrap_err());
        assert!(matches!(error, Error::DiskFull { .. }), "{error:?}");
        assert!(!error.may_pass());
        let denied = Error::disk("write", path, io::ErrorKind::PermissionDenied.into());
        assert!(matches!(denied, Error::Disk { .. }), "{denied:?}");
    }

    #[test]
    fn a_message_names_the_file_the_repository_and_the_revision() {
        let repo = RepoId::dataset("ns/name").unwrap();
        let revision = Revision::new("v1").unwrap();
        let mut subject = Subject::revision(&repo, &revision);
        let error = Error::RevisionNotFound(subject.clone());
        assert_eq!(error.to_string(), "dataset `ns/name` has no revision `v1`");
        subject.file = Some("a.csv".to_owned());
        let error = Error::FileNotFound(subject);
        assert_eq!(
            error.to_string(),
            "there is no file `a.csv` of dataset `ns/name` at `v1`"
        );
    }
}
