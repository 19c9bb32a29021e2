//! JSON Lines: one object per line. Blank lines are ignored.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use whence_schemas::ordered::OrderedJson;

use super::lines::{Line, Lines, MAX_LINE_BYTES};
use crate::Error;
use crate::content::SharedContent;
use crate::field::FieldPath;
use crate::format::{Format, Row, RowReader};

/// How many field names to remember for error messages, at least. Remembering stops there, because
/// data that uses values as keys could otherwise fill the memory with names.
const MAX_COLUMNS: usize = 64;

/// The JSON Lines format.
#[derive(Debug)]
pub(super) struct JsonLines;

impl Format for JsonLines {
    fn open(
        &self,
        content: &SharedContent,
        offset: u64,
        fields: &[FieldPath],
    ) -> Result<Box<dyn RowReader>, Error> {
        let mut rows = JsonRows {
            lines: Lines::open(content, offset)?,
            fields: fields.to_vec(),
            columns: BTreeSet::new(),
        };
        if offset == 0 {
            rows.refuse_array()?;
        }
        Ok(Box::new(rows))
    }

    fn count(&self, content: &SharedContent) -> Result<u64, Error> {
        let mut lines = Lines::open(content, 0)?;
        let mut count = 0;
        while let Some(line) = lines.next()? {
            count += u64::from(!line.is_blank());
        }
        Ok(count)
    }
}

struct JsonRows {
    lines: Lines,
    fields: Vec<FieldPath>,
    columns: BTreeSet<String>,
}

impl JsonRows {
    /// Fails if the file is a single JSON array, which cannot be streamed line by line.
    fn refuse_array(&mut self) -> Result<(), Error> {
        let start = self.lines.offset();
        let first = loop {
            match self.lines.next()? {
                Some(line) if line.is_blank() => {}
                Some(line) => break line.bytes.trim_ascii_start().first().copied(),
                None => break None,
            }
        };
        if first == Some(b'[') {
            return Err(Error::Format {
                path: self.lines.content().name().into(),
                reason: "it is one JSON array; write one object a line, for example with \
                         `jq -c '.[]'`"
                    .to_owned(),
            });
        }
        self.lines.seek(start)
    }

    /// Remembers the names of a row's fields for error messages, and of those one level inside it.
    fn remember_columns(&mut self, row: &IndexMap<String, OrderedJson>) {
        if self.columns.len() >= MAX_COLUMNS {
            return;
        }
        for (name, value) in row {
            match value {
                OrderedJson::Object(children) => {
                    let children = children.keys().map(|child| format!("{name}.{child}"));
                    self.columns.extend(children);
                }
                _ => {
                    self.columns.insert(name.clone());
                }
            }
        }
    }
}

impl RowReader for JsonRows {
    fn offset(&self) -> u64 {
        self.lines.offset()
    }

    fn next(&mut self) -> Result<Option<Row>, Error> {
        let parsed = loop {
            match self.lines.next()? {
                Some(line) if line.is_blank() => {}
                Some(line) => break parse(line),
                None => return Ok(None),
            }
        };
        let row = match parsed {
            Ok(row) => row,
            Err((start, reason)) => {
                return Ok(Some(Err(format!("{} {reason}", self.lines.name(start)?))));
            }
        };
        self.remember_columns(&row);
        let cells = self.fields.iter().map(|field| field.of_object(&row));
        Ok(Some(Ok(cells.collect())))
    }

    fn skip(&mut self) -> Result<bool, Error> {
        loop {
            match self.lines.next()? {
                Some(line) if line.is_blank() => {}
                line => return Ok(line.is_some()),
            }
        }
    }

    fn columns(&self) -> Vec<String> {
        self.columns.iter().cloned().collect()
    }
}

/// Parses the object in a line. The error is the line's offset and what is wrong with it.
fn parse(line: Line) -> Result<IndexMap<String, OrderedJson>, (u64, String)> {
    let refuse = |reason: String| Err((line.start, reason));
    if line.is_cut {
        return refuse(format!("is longer than {MAX_LINE_BYTES} bytes"));
    }
    match serde_json::from_slice(line.bytes) {
        Ok(OrderedJson::Object(row)) => Ok(row),
        Ok(_) => refuse("is not a JSON object".to_owned()),
        Err(error) => {
            // The parser saw only this line, so the line number in its message is always 1. It is
            // dropped here, because the caller names the line in the file.
            let text = error.to_string();
            let what = text.split(" at line ").next().unwrap_or(&text);
            let column = error.column();
            refuse(format!("is not JSON: {what} at column {column}"))
        }
    }
}
