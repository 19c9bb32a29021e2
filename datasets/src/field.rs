//! Paths to a field of a row: `translation.en`, `answers.text[0]`, `messages[-1].content`.
//!
//! A column's own name may look like a path. The longest name that is a column takes precedence, so
//! that people can type any name that they see in the header: `a.b` is the column `a.b` if there is
//! one, else the key `b` in the column `a`.

use std::fmt;
use std::str::FromStr;

use whence_schemas::suggest;

use crate::Error;

/// Where in a row to find a value: a column, and the way from there into nested values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    text: String,
    /// Every column that the path may start in, with the steps from there. The longest name comes
    /// first, and it is the whole text.
    readings: Vec<(String, Vec<Step>)>,
}

/// One step into a nested value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    /// Index into a list. A negative one counts from the end.
    Index(i64),
}

/// What a row holds at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// The row has no such field.
    Absent,
    /// The field exists but is null, or empty in a CSV or TSV file.
    Null,
    /// The field holds text.
    Text(String),
    /// The field holds a number, a list or an object, given here as JSON. Numbers are as they are
    /// written, and object keys keep their order.
    Json(String),
    /// The field holds a value that JSON lacks, such as a date, given here in its ISO form.
    Other(String),
}

impl FieldPath {
    /// Returns the path as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the columns that the path may start in, the longest name first.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.readings.iter().map(|(column, _)| column.as_str())
    }

    /// Returns the columns that the path may start in, each with the steps from there to the value.
    /// The first column that exists is meant.
    pub(crate) fn readings(&self) -> impl Iterator<Item = (&str, &[Step])> {
        let readings = self.readings.iter();
        readings.map(|(column, steps)| (column.as_str(), steps.as_slice()))
    }
}

impl Cell {
    /// Returns the text that the cell of `field` holds. Fails if it holds none.
    pub fn text(&self, field: &FieldPath) -> Result<&str, String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Absent => Err(format!("the row has no field `{field}`")),
            Self::Null => Err(format!("field `{field}` is null")),
            Self::Json(_) | Self::Other(_) => Err(format!("field `{field}` holds no text")),
        }
    }
}

/// Converts an index that may count from the end into a position in a list of `len` items. Returns
/// `None` if it is out of range.
pub(crate) fn item_index(index: i64, len: usize) -> Option<usize> {
    let place = if index < 0 { index + len as i64 } else { index };
    usize::try_from(place).ok().filter(|place| *place < len)
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for FieldPath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::Field {
                field: text.to_owned(),
                reason: "a name is missing",
            });
        }
        let mut readings = vec![(text.to_owned(), Vec::new())];
        // A column has a name, so that a sign at the very start cannot begin the steps.
        let starts = text.char_indices().skip(1).collect::<Vec<_>>();
        for (at, sign) in starts.into_iter().rev() {
            if matches!(sign, '.' | '[')
                && let Some(steps) = steps(&text[at..])
            {
                readings.push((text[..at].to_owned(), steps));
            }
        }
        Ok(Self {
            text: text.to_owned(),
            readings,
        })
    }
}

/// Parses `.key` and `[index]`, any number of them. Returns `None` if it is anything else.
fn steps(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(key) = rest.strip_prefix('.') {
            let end = key.find(['.', '[']).unwrap_or(key.len());
            if end == 0 {
                return None;
            }
            steps.push(Step::Key(key[..end].to_owned()));
            rest = &key[end..];
        } else {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            steps.push(Step::Index(index.parse().ok()?));
            rest = after;
        }
    }
    Some(steps)
}

/// Returns the name most similar to `wanted`, if any is similar enough to suggest.
///
/// A nested field whose last part is exactly `wanted` is suggested first: for `en`, that is
/// `translation.en`.
pub fn nearest_name(wanted: &str, names: &[String]) -> Option<String> {
    let child = |name: &&str| name.rsplit('.').next() == Some(wanted);
    let mut names = names.iter().map(String::as_str);
    let inside = names.clone().find(child);
    let nearest = inside.or_else(|| suggest::nearest(wanted, &mut names));
    nearest.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(path: &str) -> Vec<String> {
        let path: FieldPath = path.parse().unwrap();
        let reading = |(column, steps): (&str, &[Step])| {
            let steps = steps.iter().map(|step| match step {
                Step::Key(key) => format!("/{key}"),
                Step::Index(index) => format!("/{index}"),
            });
            format!("{column}{}", steps.collect::<String>())
        };
        path.readings().map(reading).collect()
    }

    #[test]
    fn the_longest_column_name_comes_first() {
        assert_eq!(readings("text"), ["text"]);
        assert_eq!(
            readings("translation.en"),
            ["translation.en", "translation/en"]
        );
        assert_eq!(readings("a.b.c"), ["a.b.c", "a.b/c", "a/b/c"]);
        let content = readings("messages[-1].content");
        assert_eq!(content.last().unwrap(), "messages/-1/content");
        assert_eq!(readings("a[0][1]"), ["a[0][1]", "a[0]/1", "a/0/1"]);
        assert_eq!(readings(".leading"), [".leading"]);
        assert_eq!(readings(".leading.en"), [".leading.en", ".leading/en"]);
        assert_eq!(readings("two words.en"), ["two words.en", "two words/en"]);
    }

    #[test]
    fn what_is_no_path_is_a_name() {
        for text in ["a.", "a[", "a[x]", "[0]", "a..b"] {
            assert_eq!(readings(text)[0], text);
            let path: FieldPath = text.parse().unwrap();
            assert!(path.columns().all(|column| column != "a"), "{text}");
        }
        assert!("".parse::<FieldPath>().is_err());
    }

    #[test]
    fn the_nearest_name_is_suggested() {
        let names = ["translation.en".to_owned(), "source".to_owned()];
        assert_eq!(nearest_name("sorce", &names).as_deref(), Some("source"));
        assert_eq!(
            nearest_name("en", &names).as_deref(),
            Some("translation.en")
        );
        assert_eq!(nearest_name("quite another", &names), None);
    }
}
