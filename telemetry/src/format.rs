//! The forms that logs can have.

use clap::ValueEnum;

/// Environment variable that chooses the form of the logs.
const FORMAT: &str = "WHENCE_LOG_FORMAT";

/// How the lines of the log are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// For people, in color on a terminal.
    #[default]
    Text,
    /// One JSON object per line, with the fields of the spans: job, slot, attempt.
    Json,
}

impl LogFormat {
    /// Returns the form that `WHENCE_LOG_FORMAT` asks for. Fails, with the value, if it is none.
    pub(crate) fn from_environment() -> Result<Self, String> {
        match std::env::var(FORMAT) {
            Ok(value) => Self::named(&value).ok_or(value),
            Err(_) => Ok(Self::default()),
        }
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            "" => Some(Self::default()),
            name => Self::from_str(name, true).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_that_does_not_exist_is_not_guessed() {
        assert_eq!(LogFormat::named("json"), Some(LogFormat::Json));
        assert_eq!(LogFormat::named("TEXT"), Some(LogFormat::Text));
        assert_eq!(LogFormat::named(""), Some(LogFormat::Text));
        assert_eq!(LogFormat::named("yaml"), None);
    }
}
