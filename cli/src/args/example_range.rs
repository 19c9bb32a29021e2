//! Which examples are meant: one by its number, or a range as in Python.

use std::fmt;
use std::str::FromStr;

/// One example, or several that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExampleRange {
    /// The example of this number.
    One(i64),
    /// From the first number on, up to but without the second.
    Several(i64, i64),
}

impl fmt::Display for ExampleRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(number) => write!(f, "{number}"),
            Self::Several(first, i64::MAX) => write!(f, "{first}:"),
            Self::Several(first, end) => write!(f, "{first}:{end}"),
        }
    }
}

impl FromStr for ExampleRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str, absent: i64| match text {
            "" => Ok(absent),
            text => text.parse().map_err(|_| {
                format!("`{text}` is not a number; write `7`, or a range such as `3:10`")
            }),
        };
        let Some((first, end)) = text.split_once(':') else {
            let refused = "name an example, such as `7`, or a range such as `3:10`";
            return match text {
                "" => Err(refused.to_owned()),
                text => number(text, 0).map(Self::One),
            };
        };
        let (first, end) = (number(first, 0)?, number(end, i64::MAX)?);
        if first < 0 || end <= first {
            return Err(
                "a range goes from its first number up to, but without, its second: `3:10`"
                    .to_owned(),
            );
        }
        Ok(Self::Several(first, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_written_as_in_python() {
        let parse = |text: &str| text.parse::<ExampleRange>();
        assert_eq!(parse("7"), Ok(ExampleRange::One(7)));
        assert_eq!(parse("3:10"), Ok(ExampleRange::Several(3, 10)));
        assert_eq!(parse(":2"), Ok(ExampleRange::Several(0, 2)));
        assert_eq!(parse("5:"), Ok(ExampleRange::Several(5, i64::MAX)));
        for written in ["7", "3:10", "5:"] {
            assert_eq!(parse(written).unwrap().to_string(), written);
        }
        for wrong in ["", "x", "3:x", "4:4", "5:3", "-3:2", "3-5"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
