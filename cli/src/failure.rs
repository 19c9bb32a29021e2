//! How a command fails: what happened, who has to act, and what to type next.
//!
//! This is the only place that decides which errors of the other crates are wrong requests and
//! which are failures.

use std::process::ExitCode;

use whence_engine::ErrorScope;
use whence_proto::access::AccessError;
use whence_proto::status;
use whence_schemas::store::StoreError;
use whence_schemas::{ErrorKind, chain};

/// How a command that did not succeed ended; determines the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The reader of our output closed the pipe (`whence … | head`), which is not an error.
    ReaderGone,
    /// Something failed although the request was valid; trying again may succeed.
    Failed,
    /// The request itself is invalid and has to be changed.
    WrongRequest,
    /// The user pressed Ctrl-C (SIGINT).
    Interrupted,
    /// The system asked the process to end (SIGTERM).
    Terminated,
}

impl Exit {
    /// Returns the exit status of the process. 130 and 143 are 128 plus the number of the signal.
    pub fn status(self) -> u8 {
        match self {
            Self::ReaderGone => 0,
            Self::Failed => 1,
            Self::WrongRequest => 2,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    exit: Exit,
    message: String,
    hint: Option<String>,
    #[cfg_attr(
        not(feature = "sql"),
        allow(dead_code, reason = "only queries read stored bytes again")
    )]
    is_about_stored_data: bool,
}

impl Failure {
    /// Makes a failure that the user fixes by changing the request.
    pub fn request(message: impl Into<String>) -> Self {
        Self::new(Exit::WrongRequest, message)
    }

    /// Makes a failure that occurred although the request is valid.
    pub fn run(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// Makes the outcome of a command that was interrupted by the user.
    pub fn interrupted(message: impl Into<String>) -> Self {
        Self::new(Exit::Interrupted, message)
    }

    /// Makes a failure whose exit status follows from `kind`.
    pub(crate) fn of_kind(kind: ErrorKind, message: impl Into<String>) -> Self {
        if status::exit_status(kind) == Exit::WrongRequest.status() {
            Self::request(message)
        } else {
            Self::run(message)
        }
    }

    /// Makes the outcome of a command that was stopped: `exit` says whether by Ctrl-C or SIGTERM.
    pub(crate) fn stopped(exit: Exit, message: impl Into<String>) -> Self {
        Self::new(exit, message)
    }

    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
            is_about_stored_data: false,
        }
    }

    /// Marks the failure as caused by stored data, so that the caller looks for the damaged file.
    #[cfg(feature = "sql")]
    #[must_use]
    pub(crate) fn about_stored_data(mut self) -> Self {
        self.is_about_stored_data = true;
        self
    }

    /// Returns whether stored data caused the failure.
    #[cfg(feature = "sql")]
    pub(crate) fn is_about_stored_data(&self) -> bool {
        self.is_about_stored_data
    }

    /// Makes a failure from a caught panic, which is always a bug in this program.
    pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Self {
        let message = whence_schemas::panics::message(panic);
        Self::run(format!("internal error: {message}"))
            .hint("run it again with --very-verbose, and report what that prints")
    }

    /// Makes a failure from a thread that ended without the result of its `work`.
    pub(crate) fn of_thread(work: &str, error: tokio::task::JoinError) -> Self {
        match error.try_into_panic() {
            Ok(panic) => Self::panicked(panic.as_ref()),
            Err(error) => Self::run(format!("the {work} was ended: {error}")),
        }
    }

    /// Adds a hint: the next step, or what to type.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the next step if the error has one.
    fn with_next_step(self, next: Option<String>) -> Self {
        match next {
            Some(next) => self.hint(next),
            None => self,
        }
    }

    /// Puts words before the message.
    pub(crate) fn in_context(mut self, words: &str) -> Self {
        self.message = format!("{words} {}", self.message);
        self
    }

    /// Returns how the command ended.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Returns the message without its `error:` label and hint.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the hint: the next step, or what to type.
    pub(crate) fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Prints the message and hint to standard error and returns the process's exit code.
    pub fn report(&self) -> ExitCode {
        if self.exit != Exit::ReaderGone {
            let kind = match self.exit {
                Exit::Interrupted | Exit::Terminated => "stopped",
                _ => "error",
            };
            eprintln!("{kind}: {}", self.message);
            if let Some(hint) = &self.hint {
                eprintln!("hint: {hint}");
            }
        }
        ExitCode::from(self.exit.status())
    }
}

impl From<whence_engine::Error> for Failure {
    fn from(error: whence_engine::Error) -> Self {
        let failure = match error.scope() {
            ErrorScope::Specification | ErrorScope::Model | ErrorScope::Example => {
                Self::request(chain(&error))
            }
            ErrorScope::Stopped => Self::interrupted(chain(&error)),
            ErrorScope::Internal => Self::run(chain(&error)),
        };
        failure.with_next_step(error.next_step())
    }
}

impl From<whence_engine::DeviceError> for Failure {
    fn from(error: whence_engine::DeviceError) -> Self {
        Self::request(chain(&error)).hint("compute on the processor: `--device cpu`")
    }
}

impl From<whence_worker::PlacesError> for Failure {
    fn from(error: whence_worker::PlacesError) -> Self {
        match error {
            whence_worker::PlacesError::Unusable(error) => error.into(),
            mixed @ whence_worker::PlacesError::Mixed { .. } => Self::request(chain(&mixed)),
        }
    }
}

impl From<whence_coordinator::Error> for Failure {
    fn from(error: whence_coordinator::Error) -> Self {
        Self::of_kind(error.kind(), chain(&error))
    }
}

impl From<whence_datasets::Error> for Failure {
    fn from(error: whence_datasets::Error) -> Self {
        Self::of_kind(error.kind(), chain(&error)).with_next_step(error.help())
    }
}

impl From<whence_worker::locate::LocateError> for Failure {
    fn from(error: whence_worker::locate::LocateError) -> Self {
        Self::of_kind(error.kind(), chain(&error)).with_next_step(error.help())
    }
}

impl From<whence_worker::Error> for Failure {
    fn from(error: whence_worker::Error) -> Self {
        Self::of_kind(error.kind(), chain(&error))
    }
}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        Self::request(error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::of_kind(error.kind(), chain(&error))
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        let message = match status::kind(&status) {
            // The message already says what is wrong with the request or the stored file.
            ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Data => {
                status.message().to_owned()
            }
            ErrorKind::Unavailable | ErrorKind::Internal => {
                // A broken connection has its reason below, such as a certificate that is refused.
                let cause = std::error::Error::source(&status).map(chain);
                let cause = cause.unwrap_or_else(|| status.message().to_owned());
                format!("the coordinator failed: {cause}")
            }
        };
        Self::of_kind(status::kind(&status), message)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::new(Exit::ReaderGone, "");
        }
        Self::run(error.to_string())
    }
}
