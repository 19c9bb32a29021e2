//! The date that a chat template sees as today.

use std::fmt::Write;

use chrono::NaiveDate;
use minijinja::{Error as TemplateError, ErrorKind};

use crate::Error;

/// A day of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date(NaiveDate);

impl Date {
    /// Parses a date such as `2026-11-25`. Fails if there is no such day.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d");
        date.map(Self).map_err(|_| Error::Specification {
            reason: format!("the chat's `date` is `{text}`, expected a day such as `2026-11-25`"),
        })
    }

    /// Formats the date as Python's `strftime` does. Fails on a directive that is unknown or asks
    /// for a time of day.
    pub(super) fn format(self, format: &str) -> Result<String, TemplateError> {
        let mut text = String::new();
        // chrono reports an unknown or time-of-day directive only when it writes the text.
        write!(text, "{}", self.0.format(format)).map_err(|_| {
            let reason = format!("`{format}` asks for more than a date");
            TemplateError::new(ErrorKind::InvalidOperation, reason)
        })?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_python_writes_them() {
        let date = Date::parse("2024-02-29").unwrap();
        let text = date.format("%A, %-d %B %Y; %a %d.%m.%y %b 100%%").unwrap();
        assert_eq!(text, "Thursday, 29 February 2024; Thu 29.02.24 Feb 100%");
        assert_eq!(date.format("%j %U %F").unwrap(), "060 08 2024-02-29");
        assert_eq!(
            Date::parse("2026-11-25").unwrap().format("%a").unwrap(),
            "Wed"
        );
        assert!(date.format("%H").is_err());
        assert!(date.format("%Q").is_err());
    }

    #[test]
    fn a_day_that_is_none_is_refused() {
        for text in [
            "2023-02-29",
            "2023-13-01",
            "2023-00-10",
            "2023-1",
            "today",
            "",
        ] {
            assert!(Date::parse(text).is_err(), "{text}");
        }
    }
}
