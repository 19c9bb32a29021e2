//! Reads one row of JSON: the fields that were asked for, exactly as they are written.
//!
//! Only the values of those fields are decoded; the parser passes over the others. Numbers are
//! never converted, so that an identifier of twenty digits keeps all of them. `NaN` and `Infinity`
//! are numbers, as Python writes them.

use serde_json::Value;

use super::cursor::{Cursor, SyntaxError};
use crate::field::{Cell, FieldPath, Step, item_index};

/// The column of rows that are not objects, as in `datasets`.
const TEXT_COLUMN: &str = "text";

/// What the rows of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowKind {
    /// Objects, whose keys are the columns.
    Objects,
    /// Other values, each in the column `text`.
    Texts,
}

/// What is wrong with a row, and at which of its bytes.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) at: usize,
    pub(super) reason: String,
}

impl From<SyntaxError> for Unreadable {
    fn from(error: SyntaxError) -> Self {
        Self {
            at: error.at,
            reason: format!("is not JSON: {}", error.reason),
        }
    }
}

/// Reads the fields that were asked for.
pub(super) struct RowParser {
    fields: Vec<FieldPath>,
    /// The keys of a row in which a field may start.
    keys: Vec<String>,
    kind: RowKind,
}

impl RowParser {
    pub(super) fn new(fields: &[FieldPath], kind: RowKind) -> Self {
        let mut keys: Vec<String> = Vec::new();
        for field in fields {
            keys.extend(field.columns().map(str::to_owned));
        }
        keys.sort_unstable();
        keys.dedup();
        Self {
            fields: fields.to_vec(),
            keys,
            kind,
        }
    }

    /// Reads the row that `bytes` start with. Returns its cells and its length.
    pub(super) fn read(&self, bytes: &[u8]) -> Result<(Vec<Cell>, usize), Unreadable> {
        let mut row = Cursor::new(bytes);
        let first = row.peek()?;
        if first == b'n' {
            row.skip()?;
            return Ok((vec![Cell::Null; self.fields.len()], row.position()));
        }
        let found = match self.kind {
            RowKind::Objects if first == b'{' => self.find_keys(&mut row)?,
            RowKind::Objects => {
                let reason = "is not a JSON object".to_owned();
                return Err(Unreadable { at: 0, reason });
            }
            RowKind::Texts => {
                let value = row.skip()?;
                let is_text = |key: &String| (key == TEXT_COLUMN).then_some(value);
                self.keys.iter().map(is_text).collect()
            }
        };
        let cells = self.fields.iter().map(|field| self.cell(field, &found));
        Ok((cells.collect::<Result<_, _>>()?, row.position()))
    }

    /// Returns the values of the wanted keys.
    fn find_keys<'b>(&self, row: &mut Cursor<'b>) -> Result<Vec<Option<&'b [u8]>>, Unreadable> {
        let mut found = vec![None; self.keys.len()];
        let mut key = row.first_key()?;
        while let Some(name) = key {
            let wanted = self.keys.iter().position(|wanted| *wanted == name);
            let value = row.skip()?;
            if let Some(wanted) = wanted
                && found[wanted].replace(value).is_some()
            {
                return Err(twice(&name, row));
            }
            key = row.next_key()?;
        }
        Ok(found)
    }

    fn cell(&self, field: &FieldPath, found: &[Option<&[u8]>]) -> Result<Cell, Unreadable> {
        let value_of = |name: &str| {
            let key = self.keys.iter().position(|key| key == name)?;
            found[key]
        };
        for (column, steps) in field.readings() {
            if let Some(value) = value_of(column) {
                return match inside(value, steps)? {
                    Some(value) => cell(value),
                    None => Ok(Cell::Absent),
                };
            }
        }
        Ok(Cell::Absent)
    }
}

fn twice(key: &str, cursor: &Cursor) -> Unreadable {
    Unreadable {
        at: cursor.position(),
        reason: format!("has the key `{key}` twice"),
    }
}

/// Follows the steps into a value. Returns `null` where the way ends at one, and `None` if there
/// is no such place.
fn inside<'b>(value: &'b [u8], steps: &[Step]) -> Result<Option<&'b [u8]>, Unreadable> {
    let mut value = value;
    for step in steps {
        let mut cursor = Cursor::new(value);
        let next = match (cursor.peek()?, step) {
            (b'n', _) => return Ok(Some(value)),
            (b'{', Step::Key(key)) => member(&mut cursor, key)?,
            (b'[', Step::Index(index)) => {
                let items = items(&mut cursor)?;
                item_index(*index, items.len()).map(|index| items[index])
            }
            _ => None,
        };
        let Some(next) = next else {
            return Ok(None);
        };
        value = next;
    }
    Ok(Some(value))
}

fn member<'b>(object: &mut Cursor<'b>, wanted: &str) -> Result<Option<&'b [u8]>, Unreadable> {
    let mut found = None;
    let mut key = object.first_key()?;
    while let Some(name) = key {
        let value = object.skip()?;
        if name == wanted && found.replace(value).is_some() {
            return Err(twice(wanted, object));
        }
        key = object.next_key()?;
    }
    Ok(found)
}

fn items<'b>(list: &mut Cursor<'b>) -> Result<Vec<&'b [u8]>, SyntaxError> {
    let mut items = Vec::new();
    let mut has_item = list.first_item()?;
    while has_item {
        items.push(list.skip()?);
        has_item = list.next_item()?;
    }
    Ok(items)
}

/// Returns the names of a row's fields, and of those one level inside it, for error messages.
pub(super) fn names(row: &[u8]) -> Result<Vec<String>, SyntaxError> {
    let mut names = Vec::new();
    let mut row = Cursor::new(row);
    if row.peek()? != b'{' {
        return Ok(vec![TEXT_COLUMN.to_owned()]);
    }
    let mut key = row.first_key()?;
    while let Some(name) = key {
        let mut inner = Cursor::new(row.skip()?);
        if inner.peek()? == b'{' {
            let mut child = inner.first_key()?;
            while let Some(of_child) = child {
                names.push(format!("{name}.{of_child}"));
                inner.skip()?;
                child = inner.next_key()?;
            }
        } else {
            names.push(name.into_owned());
        }
        key = row.next_key()?;
    }
    Ok(names)
}

/// Converts a value that is known to be whole.
fn cell(value: &[u8]) -> Result<Cell, Unreadable> {
    let mut cursor = Cursor::new(value);
    Ok(match cursor.peek()? {
        b'n' => Cell::Null,
        b'"' => Cell::Text(cursor.text()?.into_owned()),
        _ => {
            let mut text = String::with_capacity(value.len());
            write(&mut cursor, &mut text)?;
            Cell::Json(text)
        }
    })
}

/// Writes a value without blanks, numbers as they stand, and texts without needless escapes.
fn write(value: &mut Cursor, out: &mut String) -> Result<(), SyntaxError> {
    let quoted = |text: &str| Value::from(text).to_string();
    match value.peek()? {
        b'"' => out.push_str(&quoted(&value.text()?)),
        b'[' => {
            out.push('[');
            let mut has_item = value.first_item()?;
            while has_item {
                write(value, out)?;
                has_item = value.next_item()?;
                out.push_str(if has_item { "," } else { "" });
            }
            out.push(']');
        }
        b'{' => {
            out.push('{');
            let mut key = value.first_key()?;
            while let Some(name) = key {
                out.push_str(&quoted(&name));
                out.push(':');
                write(value, out)?;
                key = value.next_key()?;
                out.push_str(if key.is_some() { "," } else { "" });
            }
            out.push('}');
        }
        _ => out.push_str(&String::from_utf8_lossy(value.skip()?)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(row: &str, field: &str) -> Result<Cell, String> {
        let parser = RowParser::new(&[field.parse().unwrap()], RowKind::Objects);
        let read = parser.read(row.as_bytes());
        let (mut cells, length) =
            read.map_err(|error| format!("{}: {}", error.at, error.reason))?;
        assert_eq!(length, row.trim_end().len());
        Ok(cells.remove(0))
    }

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    fn json(text: &str) -> Cell {
        Cell::Json(text.to_owned())
    }

    #[test]
    fn paths_reach_into_objects_and_lists() {
        let row = r#"{"translation": {"en": "Hello", "n": 3}, "answers": {"text": ["a", null]},
            "a.b": "flat", "none": null}"#;
        assert_eq!(read(row, "translation.en").unwrap(), text("Hello"));
        assert_eq!(read(row, "translation.n").unwrap(), json("3"));
        assert_eq!(read(row, "answers.text[0]").unwrap(), text("a"));
        assert_eq!(read(row, "answers.text[-1]"), Ok(Cell::Null));
        assert_eq!(read(row, "answers.text[2]"), Ok(Cell::Absent));
        assert_eq!(read(row, "translation.de"), Ok(Cell::Absent));
        assert_eq!(read(row, "a.b").unwrap(), text("flat"));
        assert_eq!(read(row, "none.deeper"), Ok(Cell::Null));
        assert_eq!(
            read(row, "answers").unwrap(),
            json(r#"{"text":["a",null]}"#)
        );
    }

    #[test]
    fn numbers_keep_their_digits() {
        for number in [
            "18446744073709551616",
            "-9007199254740993",
            "12345678901234567.89",
            "1.0",
            "1e5",
            "NaN",
            "-Infinity",
        ] {
            assert_eq!(
                read(&format!(r#"{{"a": {number} }}"#), "a").unwrap(),
                json(number)
            );
            let nested = format!(r#"{{"a": [ {number} ]}}"#);
            assert_eq!(read(&nested, "a").unwrap(), json(&format!("[{number}]")));
        }
    }

    #[test]
    fn escapes_are_decoded_or_refused() {
        assert_eq!(
            read(r#"{"a": "\ud83d\ude00\n"}"#, "a").unwrap(),
            text("😀\n")
        );
        assert_eq!(read(r#"{"\u0061": "\u00e9"}"#, "a").unwrap(), text("é"));
        assert_eq!(
            read(r#"{"a": ["\u00e9\n"]}"#, "a").unwrap(),
            json("[\"é\\n\"]")
        );
        let error = read(r#"{"a": "\ud800x"}"#, "a").unwrap_err();
        assert!(error.contains("surrogate"), "{error}");
        let error = read("{\"a\": \"x\ty\"}", "a").unwrap_err();
        assert!(error.contains("control character"), "{error}");
    }

    #[test]
    fn a_key_that_is_there_twice_makes_the_row_ambiguous() {
        let row = r#"{"a": 1, "b": {"c": 1, "c": 2}, "a": 2}"#;
        assert!(read(row, "a").unwrap_err().contains("`a` twice"));
        assert!(read(row, "b.c").unwrap_err().contains("`c` twice"));
        assert!(read(r#"{"x": 0, "x": 1, "a": "b"}"#, "a").is_ok());
    }

    #[test]
    fn what_is_not_json_is_refused_where_it_stops() {
        assert!(
            read(r#"{"a": }"#, "a")
                .unwrap_err()
                .starts_with("6: is not JSON")
        );
        assert!(read("[1]", "a").unwrap_err().contains("not a JSON object"));
        assert_eq!(read("null", "a"), Ok(Cell::Null));
    }

    #[test]
    fn values_that_are_not_objects_are_the_column_text() {
        let fields = ["text".parse().unwrap(), "a".parse().unwrap()];
        let parser = RowParser::new(&fields, RowKind::Texts);
        let read = |row: &str| parser.read(row.as_bytes()).unwrap().0;
        assert_eq!(read("\"x\""), [Cell::Text("x".to_owned()), Cell::Absent]);
        assert_eq!(
            read("[1, 2]"),
            [Cell::Json("[1,2]".to_owned()), Cell::Absent]
        );
        assert_eq!(read("null"), [Cell::Null, Cell::Null]);
    }

    #[test]
    fn names_reach_one_level_deep() {
        let row = br#"{"translation": {"en": 1, "fr": 2}, "id": 3}"#;
        let expected = ["translation.en", "translation.fr", "id"];
        assert_eq!(names(row).unwrap(), expected);
    }
}
