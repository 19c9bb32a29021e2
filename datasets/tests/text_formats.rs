//! JSON, CSV and text files give the rows that `datasets` loads, from every offset.
//!
//! `data/make_text_cases.py` writes the cases. A file that `datasets` refuses must be refused here,
//! too, as a whole or in one of its rows. Cells are compared if they are texts or null there; what
//! pandas makes a number stays as it is written here.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops where its fixture is not what it must be"
)]

use std::fs;
use std::path::Path;

use serde_json::Value;
use whence_datasets::format::Format;
use whence_datasets::{Cell, Copies, Error, FieldPath, Row, SharedContent, content, formats};
use whence_schemas::{FormatSpec, panics};

struct Case {
    name: String,
    spec: FormatSpec,
    data: Vec<u8>,
    columns: Vec<FieldPath>,
    /// The rows that `datasets` loads; `None` if it refuses the file.
    rows: Option<Vec<Vec<Value>>>,
}

fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/text_cases.json");
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let case = |case: Value| {
        let columns: Option<Vec<String>> = serde_json::from_value(case["columns"].clone()).unwrap();
        let columns = columns.unwrap_or_else(|| vec!["a".to_owned(), "text".to_owned()]);
        let data = data_encoding::BASE64.decode(case["data"].as_str().unwrap().as_bytes());
        Case {
            name: format!("{}: {}", case["format"]["name"], case["case"]),
            spec: serde_json::from_value(case["format"].clone()).unwrap(),
            data: data.unwrap(),
            columns: columns.iter().map(|name| name.parse().unwrap()).collect(),
            rows: serde_json::from_value(case["rows"].clone()).unwrap(),
        }
    };
    cases.into_iter().map(case).collect()
}

/// Reads all rows from `offset` on, each with the offset that it starts at.
fn read(
    format: &dyn Format,
    content: &SharedContent,
    offset: u64,
    columns: &[FieldPath],
) -> Result<Vec<(u64, Row)>, Error> {
    let mut reader = format.open(content, offset, columns)?;
    let mut rows = Vec::new();
    loop {
        let offset = reader.offset();
        match reader.next()? {
            Some(row) => rows.push((offset, row)),
            None => return Ok(rows),
        }
    }
}

fn assert_cell(cell: &Cell, expected: &Value, place: &str) {
    match (cell, expected) {
        (Cell::Null | Cell::Absent, Value::Null)
        | (Cell::Json(_) | Cell::Text(_), Value::Number(_) | Value::Bool(_)) => {}
        (Cell::Text(found), Value::String(expected)) => assert_eq!(found, expected, "{place}"),
        (Cell::Json(found), Value::Array(_) | Value::Object(_)) => {
            let found: Value = serde_json::from_str(found).unwrap();
            assert_eq!(found, *expected, "{place}");
        }
        _ => panic!("{place}: {cell:?}, but `datasets` has {expected}"),
    }
}

fn assert_case(case: &Case, folder: &Path) {
    let path = folder.join("rows.data");
    fs::write(&path, &case.data).unwrap();
    let copies = Copies::new(folder.join("cache"), 1 << 20);
    let digest = blake3::hash(&case.data).to_hex().to_string();
    let open = || -> Result<_, Error> {
        let plain = copies.plain(&content::local(&path).unwrap(), &digest, &case.spec.options)?;
        Ok((formats::format(&case.spec)?, plain))
    };
    let read_from = |offset| {
        let (format, plain) = open()?;
        read(&*format, &plain, offset, &case.columns)
    };
    let name = &case.name;
    let Some(expected) = &case.rows else {
        let rows = read_from(0);
        let is_refused = rows
            .as_ref()
            .map_or(true, |rows| rows.iter().any(|row| row.1.is_err()));
        assert!(is_refused, "{name}: {rows:?}");
        return;
    };
    let rows = read_from(0).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(rows.len(), expected.len(), "{name}: {rows:?}");
    for (number, ((_, row), expected)) in rows.iter().zip(expected).enumerate() {
        let row = row
            .as_ref()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        for (cell, expected) in row.iter().zip(expected) {
            assert_cell(cell, expected, &format!("{name}, row {number}"));
        }
    }
    for (number, (offset, _)) in rows.iter().enumerate() {
        let from_here = read_from(*offset).unwrap();
        let same = rows[number..]
            .iter()
            .zip(&from_here)
            .all(|(one, other)| one.1 == other.1);
        let has_all = from_here.len() == rows.len() - number;
        assert!(same && has_all, "{name}, from row {number}: {from_here:?}");
    }
    let (format, plain) = open().unwrap();
    assert_eq!(format.count(&plain).unwrap(), rows.len() as u64, "{name}");
}

#[test]
fn text_files_give_the_rows_that_datasets_loads() {
    let cases = cases();
    assert!(cases.len() > 80, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let folder = tempfile::tempdir().unwrap();
        wrong.extend(panics::caught(|| assert_case(&case, folder.path())).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
