//! Writing to standard output. Only data goes there; warnings go to standard error.
//!
//! Write errors are returned instead of causing a panic as `println!` would, so that
//! `whence … | head` ends quietly when `head` closes the pipe.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use whence_proto::v1::{JobState, JobStatus};

use crate::Failure;

/// Writes `text` and a newline to standard output, and flushes it.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

/// Prints a warning to standard error. The command continues.
pub(crate) fn warn(notice: &dyn Display) {
    eprintln!("warning: {notice}");
}

/// Returns the width of the terminal in columns; `None` if standard output is not a terminal.
pub(crate) fn width() -> Option<usize> {
    let is_terminal = std::io::stdout().is_terminal();
    let size = is_terminal.then(|| console::Term::stdout().size_checked());
    size.flatten().map(|(_, columns)| usize::from(columns))
}

/// Returns `count` followed by `noun`, with a plural `s` unless the count is 1.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(count))
}

/// Formats a number with commas between groups of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns the name of a job's state.
pub(crate) fn state_name(status: &JobStatus) -> &'static str {
    match status.state() {
        JobState::Running if status.paused => "paused",
        JobState::Running => "running",
        JobState::Sealed => "sealed",
        JobState::Cancelled => "cancelled",
        JobState::Failed => "failed",
        JobState::Unspecified => "unknown",
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn thousands_stand_apart() {
        assert_eq!(super::grouped(7), "7");
        assert_eq!(super::grouped(123_456), "123,456");
        assert_eq!(super::counted(1_000, "row"), "1,000 rows");
        assert_eq!(super::counted(1, "row"), "1 row");
    }
}
