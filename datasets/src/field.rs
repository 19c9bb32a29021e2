//! Paths to a field of a row: `translation.en`, `answers.text[0]`, `messages[-1].content`.
//!
//! If a column's own name looks like a path, the column takes precedence, so that people can type
//! any name that they see in the header.

use std::fmt;
use std::str::FromStr;

use indexmap::IndexMap;
use whence_schemas::ordered::OrderedJson;
use whence_schemas::suggest;

use crate::Error;

/// Where in a row to find a value: a column, and the way from there into nested values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    text: String,
    column: String,
    steps: Vec<Step>,
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
    /// The field holds another kind of value, given here as JSON. Object keys keep their order.
    Json(String),
}

impl FieldPath {
    /// Returns the path as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the column that the path starts in.
    pub(crate) fn column(&self) -> &str {
        &self.column
    }

    /// Returns the steps from the column to the value; none if the path is just a column.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Returns what a row, given as a JSON object, holds at this path.
    pub(crate) fn of_object(&self, row: &IndexMap<String, OrderedJson>) -> Cell {
        if let Some(value) = row.get(&self.text) {
            return Cell::from(value);
        }
        let mut value = row.get(&self.column);
        for step in &self.steps {
            value = match (value, step) {
                (Some(OrderedJson::Object(object)), Step::Key(key)) => object.get(key),
                (Some(OrderedJson::List(items)), Step::Index(index)) => {
                    item_index(*index, items.len()).map(|index| &items[index])
                }
                _ => None,
            };
        }
        value.map_or(Cell::Absent, Cell::from)
    }
}

impl From<&OrderedJson> for Cell {
    fn from(value: &OrderedJson) -> Self {
        match value {
            OrderedJson::Null => Self::Null,
            OrderedJson::Text(text) => Self::Text(text.clone()),
            other => Self::Json(other.to_string()),
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
        let refuse = |reason| Error::Field {
            field: text.to_owned(),
            reason,
        };
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (key, mut indices) = part.split_at(part.find('[').unwrap_or(part.len()));
            if key.is_empty() {
                return Err(refuse("a name is missing"));
            }
            steps.push(Step::Key(key.to_owned()));
            while let Some(rest) = indices.strip_prefix('[') {
                let (index, rest) = rest.split_once(']').ok_or(refuse("a `]` is missing"))?;
                let index = index.parse().map_err(|_| refuse("`[…]` takes a number"))?;
                steps.push(Step::Index(index));
                indices = rest;
            }
            if !indices.is_empty() {
                return Err(refuse("after `]` comes `.`, `[` or the end"));
            }
        }
        let Step::Key(column) = steps.remove(0) else {
            return Err(refuse("a name is missing"));
        };
        Ok(Self {
            text: text.to_owned(),
            column,
            steps,
        })
    }
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

    fn cell(path: &str) -> Cell {
        let row = r#"{
            "translation": {"en": "Hello", "n": 3},
            "answers": {"text": ["a", null]},
            "a.b": "flat"
        }"#;
        let OrderedJson::Object(row) = serde_json::from_str(row).unwrap() else {
            panic!("a row is an object");
        };
        path.parse::<FieldPath>().unwrap().of_object(&row)
    }

    #[test]
    fn paths_reach_into_objects_and_lists() {
        assert_eq!(cell("translation.en"), Cell::Text("Hello".into()));
        assert_eq!(cell("translation.n"), Cell::Json("3".into()));
        assert_eq!(cell("answers.text[0]"), Cell::Text("a".into()));
        assert_eq!(cell("answers.text[-1]"), Cell::Null);
        assert_eq!(cell("answers.text[2]"), Cell::Absent);
        assert_eq!(cell("translation.de"), Cell::Absent);
        assert_eq!(cell("a.b"), Cell::Text("flat".into()));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in ["", ".a", "a.", "a[", "a[x]", "a[0]b", "[0]"] {
            assert!(text.parse::<FieldPath>().is_err(), "{text}");
        }
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
