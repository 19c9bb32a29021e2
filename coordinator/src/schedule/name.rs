//! Names of schedules.

use std::fmt;
use std::str::FromStr;

/// Longest name.
const MOST_LETTERS: usize = 64;

/// The name of a schedule, which is part of the names of its objects and of its runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScheduleName(String);

impl ScheduleName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ScheduleName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_plain = |letter: char| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_".contains(letter)
        };
        if text.is_empty() || text.len() > MOST_LETTERS || !text.chars().all(is_plain) {
            return Err(format!(
                "`{text}` cannot name a schedule; use up to {MOST_LETTERS} of a-z, 0-9, `-` and `_`"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ScheduleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_safe_in_a_path() {
        assert!("nightly-2_b".parse::<ScheduleName>().is_ok());
        for wrong in ["", "..", "a/b", "A", "é", &"a".repeat(65)] {
            assert!(wrong.parse::<ScheduleName>().is_err(), "{wrong}");
        }
    }
}
