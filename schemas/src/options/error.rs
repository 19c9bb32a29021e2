//! Errors of options, each formatted as one sentence.

use std::fmt;

use serde::de::{self, Expected, Unexpected};
use serde_json::Value;

use crate::suggest::nearest;

/// Number of characters of a value that a message shows.
const SHOWN_CHARS: usize = 60;

/// An invalid option: which one it is, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionError {
    /// Path of the value at fault, such as `bad_words_ids[0]`; empty for the outermost value.
    path: String,
    problem: Problem,
    /// The value at fault, as JSON.
    value: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Problem {
    /// The value must be something else.
    Unfit { expected: String },
    /// There is no option with this name.
    Unknown { name: String, known: Vec<String> },
    /// A required option is missing.
    Missing { name: String },
    /// Any other problem, described by a complete sentence.
    Other { reason: String },
}

impl std::error::Error for OptionError {}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, .. } = self;
        match &self.problem {
            Problem::Unfit { expected } => {
                let what = if path.is_empty() { "it" } else { path };
                write!(f, "{what} must be {expected}")?;
                match &self.value {
                    Some(value) => write!(f, ", not {value}"),
                    None => Ok(()),
                }
            }
            Problem::Unknown { name, known } => {
                write!(f, "unknown option `{name}`")?;
                if !path.is_empty() {
                    write!(f, " of {path}")?;
                }
                match nearest(name, known.iter().map(String::as_str)) {
                    Some(near) => write!(f, ", did you mean `{near}`?"),
                    None if known.is_empty() => f.write_str("; it has none"),
                    None => write!(f, "; it has `{}`", known.join("`, `")),
                }
            }
            Problem::Missing { name } if path.is_empty() => write!(f, "`{name}` is missing"),
            Problem::Missing { name } => write!(f, "`{name}` of {path} is missing"),
            Problem::Other { reason } if path.is_empty() => f.write_str(reason),
            Problem::Other { reason } => write!(f, "{path}: {reason}"),
        }
    }
}

impl OptionError {
    /// Puts `step` in front of the path. An error starts at the innermost value and passes through
    /// every enclosing one, each of which adds its own step.
    pub(super) fn within(mut self, step: &str) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        self.path = format!("{step}{separator}{}", self.path);
        self
    }

    /// Records `value` as the one at fault, unless an inner value was recorded already.
    pub(super) fn about(mut self, value: &Value) -> Self {
        self.value.get_or_insert_with(|| shown(value));
        self
    }

    /// Returns the error that the option `name` must be `expected` and not `value`.
    pub fn of_option(name: &str, expected: &str, value: &Value) -> Self {
        Self::unfit(expected).about(value).within(name)
    }

    fn new(problem: Problem) -> Self {
        Self {
            path: String::new(),
            problem,
            value: None,
        }
    }

    /// Returns the error that a value must be `expected`.
    pub(super) fn unfit(expected: impl Into<String>) -> Self {
        Self::new(Problem::Unfit {
            expected: expected.into(),
        })
    }
}

impl de::Error for OptionError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let message = message.to_string();
        // The prefix comes from a type's `#[serde(expecting = "expected …")]`, see the module
        // `options`.
        match message.strip_prefix("expected ") {
            Some(expected) => Self::unfit(expected),
            None => Self::new(Problem::Other { reason: message }),
        }
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::unfit(plainly(&expected.to_string()))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = expected.to_string();
        let range = range_of(&expected);
        Self::unfit(match (found, range) {
            (Unexpected::Signed(_), Some((0, _))) => "0 or more".to_owned(),
            (Unexpected::Unsigned(_), Some((_, most))) => format!("at most {most}"),
            _ => plainly(&expected),
        })
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::unfit(plainly(&expected.to_string()))
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::unfit(one_of(known))
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Self::new(Problem::Unknown {
            name: name.to_owned(),
            known: known.iter().map(|name| (*name).to_owned()).collect(),
        })
    }

    fn missing_field(name: &'static str) -> Self {
        Self::new(Problem::Missing {
            name: name.to_owned(),
        })
    }
}

/// Returns `"a", "b" or "c"`.
pub(super) fn one_of(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Returns the smallest and the largest value of an integer type, given serde's name for the type.
fn range_of(expected: &str) -> Option<(i64, u64)> {
    Some(match expected {
        "u8" => (0, u8::MAX.into()),
        "u16" => (0, u16::MAX.into()),
        "u32" => (0, u32::MAX.into()),
        "u64" | "usize" => (0, u64::MAX),
        "i32" => (i32::MIN.into(), i32::MAX as u64),
        "i64" | "isize" => (i64::MIN, i64::MAX as u64),
        _ => return None,
    })
}

/// Translates serde's description of an expected type into words for a user.
fn plainly(expected: &str) -> String {
    if let Some((least, _)) = range_of(expected) {
        let words = if least == 0 {
            "a whole number, 0 or more"
        } else {
            "a whole number"
        };
        return words.to_owned();
    }
    if let Some(length) = expected.strip_prefix("a tuple of size ") {
        return format!("a list of {length}");
    }
    let words = match expected {
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" => "a text",
        "a sequence" => "a list",
        "a map" => "an object",
        _ if expected.starts_with("struct ") => "an object",
        _ => expected,
    };
    words.to_owned()
}

/// Returns `value` as JSON, cut to [`SHOWN_CHARS`] characters.
fn shown(value: &Value) -> String {
    let json = value.to_string();
    match json.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &json[..end]),
        None => json,
    }
}
