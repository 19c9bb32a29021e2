//! How a command fails: what happened, whose move it is, what to type next.
//!
//! The one place that says which error of which crate is a wrong request and which a failure.

use std::process::ExitCode;

use whence_engine::ErrorScope;
use whence_proto::status;
use whence_schemas::store::StoreError;
use whence_schemas::{ErrorKind, chain};

/// What the shell is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Whoever read our output has gone, which is not an error.
    ReaderGone,
    /// Something failed that another try may not.
    Failed,
    /// The request asks for what cannot be.
    WrongRequest,
    /// A person stopped it.
    Interrupted,
    /// The system stopped it.
    Terminated,
}

impl Exit {
    /// Returns the exit status.
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
    /// Fails because the request must be changed.
    pub fn request(message: impl Into<String>) -> Self {
        Self::new(Exit::WrongRequest, message)
    }

    /// Fails although the request is right.
    pub fn run(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// Stops because a person asked to.
    pub fn interrupted(message: impl Into<String>) -> Self {
        Self::new(Exit::Interrupted, message)
    }

    /// Fails with what can be done about it: the one place that turns kinds into exit statuses.
    pub(crate) fn of_kind(kind: ErrorKind, message: impl Into<String>) -> Self {
        if status::exit_status(kind) == Exit::WrongRequest.status() {
            Self::request(message)
        } else {
            Self::run(message)
        }
    }

    /// Stops as `exit` says: because a person or the system asked to.
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

    /// Marks the failure as one about stored bytes, so that the caller looks for the damaged file.
    #[cfg(feature = "sql")]
    #[must_use]
    pub(crate) fn about_stored_data(mut self) -> Self {
        self.is_about_stored_data = true;
        self
    }

    /// Returns whether stored bytes are at fault.
    #[cfg(feature = "sql")]
    pub(crate) fn is_about_stored_data(&self) -> bool {
        self.is_about_stored_data
    }

    /// Fails because of a defect of ours, which panicked.
    pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Self {
        let message = whence_coordinator::panics::message(panic);
        Self::run(format!("internal error: {message}"))
            .hint("run it again with --very-verbose, and report what that prints")
    }

    /// Adds what to type next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns what the shell is told.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Returns what happened.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Tells the person, and returns what to tell the shell.
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
        match error.next_step() {
            Some(next) => failure.hint(next),
            None => failure,
        }
    }
}

impl From<whence_coordinator::Error> for Failure {
    fn from(error: whence_coordinator::Error) -> Self {
        Self::of_kind(error.kind(), chain(&error))
    }
}

impl From<whence_worker::Error> for Failure {
    fn from(error: whence_worker::Error) -> Self {
        Self::of_kind(error.kind(), chain(&error))
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
            // What is wrong with the request, or with a stored file, is said as it is.
            ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Data => {
                status.message().to_owned()
            }
            ErrorKind::Unavailable | ErrorKind::Internal => {
                format!("the coordinator failed: {}", status.message())
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
