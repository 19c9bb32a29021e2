//! How the rows lie in a JSON file: one per line, one after another, or in one list.
//!
//! It is found out from the first value of the file, so that every reader of a file, wherever it
//! starts, finds the same.

use super::row::RowKind;
use super::values::Values;
use crate::Error;
use crate::content::SharedContent;
use crate::formats::lines::Lines;

/// How the rows lie in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// One row per line. A broken line is that row's error.
    Lines,
    /// Objects one after another, each over any number of lines.
    Values,
    /// The elements of one list, which starts after `start` bytes.
    List { start: u64, kind: RowKind },
}

/// Finds out the layout of a file. `field` is the key of the list in the file's object.
pub(super) fn detect(content: &SharedContent, field: Option<&str>) -> Result<Layout, Error> {
    let mut lines = Lines::open(content, 0)?;
    let mut values = Values::open(content, lines.offset())?;
    if let Some(field) = field {
        find_field(content, &mut values, field)?;
        return list(&mut values);
    }
    match values.peek()? {
        None => return Ok(Layout::Lines),
        Some(b'[') => {
            values.bump();
            return list(&mut values);
        }
        Some(_) => {}
    }
    let (first_line, is_cut) = loop {
        match lines.next()? {
            Some(line) if line.is_blank() => {}
            Some(line) => {
                break (
                    line.start..line.start + line.bytes.len() as u64,
                    line.is_cut,
                );
            }
            None => return Ok(Layout::Lines),
        }
    };
    let is_open = values.next()?.is_none_or(|value| value.is_open);
    let end = values.offset();
    let is_alone = values.peek()?.is_none() || values.offset() > first_line.end;
    // A value that never ends is a broken line rather than a row of all the others.
    let by_line = is_open || (end <= first_line.end && is_alone && !is_cut);
    Ok(if by_line {
        Layout::Lines
    } else {
        Layout::Values
    })
}

/// Describes the list whose elements come next. The first that is not null says what they are.
fn list(values: &mut Values) -> Result<Layout, Error> {
    let start = values.offset();
    let mut kind = RowKind::Objects;
    while let Some(byte) = values.peek()? {
        match byte {
            b'n' => drop(values.next()?),
            b',' => values.bump(),
            b'{' | b']' => break,
            _ => {
                kind = RowKind::Texts;
                break;
            }
        }
    }
    Ok(Layout::List { start, kind })
}

/// Moves to the first element of the list under the key `field`.
fn find_field(content: &SharedContent, values: &mut Values, field: &str) -> Result<(), Error> {
    let refuse = |reason: String| Error::Format {
        path: content.name().into(),
        reason,
    };
    if values.peek()? != Some(b'{') {
        return Err(refuse(format!("it is not one object with a key `{field}`")));
    }
    values.bump();
    let mut keys = Vec::new();
    loop {
        match values.peek()? {
            Some(b'"') => {}
            Some(b',') => {
                values.bump();
                continue;
            }
            Some(b'}') => {
                let reason = format!("it has no key `{field}`; its keys are {}", keys.join(", "));
                return Err(refuse(reason));
            }
            _ => return Err(refuse("it is not whole JSON".to_owned())),
        }
        let key = values
            .next()?
            .map(|key| serde_json::from_slice::<String>(key.bytes));
        let Some(Ok(key)) = key else {
            return Err(refuse("one of its keys is not JSON".to_owned()));
        };
        if values.peek()? == Some(b':') {
            values.bump();
        }
        if key == field {
            break;
        }
        keys.push(format!("`{key}`"));
        values.next()?;
    }
    if values.peek()? != Some(b'[') {
        return Err(refuse(format!(
            "its key `{field}` holds no list of rows; only a list is read"
        )));
    }
    values.bump();
    Ok(())
}
