//! JSON as `datasets` reads it: one object per line, objects one after another, or one list.
//!
//! A list of objects has one row per object; a list of texts has one row per text, in the column
//! `text`. With the option `field`, the list is looked up in the file's one object. All of them are
//! streamed: an offset is the byte at which the next row starts.

mod cursor;
mod layout;
mod list;
mod row;
mod values;

use std::collections::BTreeSet;

use layout::Layout;
use list::List;
use row::{RowKind, RowParser, Unreadable};
use values::{MAX_VALUE_BYTES, Values};

use super::line_numbers::LineNumbers;
use super::lines::Lines;
use crate::Error;
use crate::content::SharedContent;
use crate::field::FieldPath;
use crate::format::{Format, Row, RowReader};

/// How many field names to remember for error messages, at least, and from how many rows. Without
/// these limits, data that uses values as keys would fill the memory with names.
const MAX_NAMES: usize = 64;
const MAX_NAMED_ROWS: usize = 100;

/// The JSON format.
#[derive(Debug)]
pub(super) struct Json {
    /// Key of the file's object that holds the rows.
    pub(super) field: Option<String>,
}

impl Format for Json {
    fn open(
        &self,
        content: &SharedContent,
        offset: u64,
        fields: &[FieldPath],
    ) -> Result<Box<dyn RowReader>, Error> {
        let layout = layout::detect(content, self.field.as_deref())?;
        let mut kind = RowKind::Objects;
        let source = match layout {
            Layout::Lines => Source::Lines(Lines::open(content, offset)?),
            Layout::Values => {
                // Opened as lines, because they know about the byte order mark.
                let start = Lines::open(content, offset)?.offset();
                Source::Values(Values::open(content, start)?)
            }
            Layout::List {
                start,
                kind: of_list,
            } => {
                kind = of_list;
                Source::List(List::open(
                    content,
                    offset.max(start),
                    self.field.is_some(),
                )?)
            }
        };
        Ok(Box::new(JsonRows {
            source,
            numbers: LineNumbers::new(content),
            parser: RowParser::new(fields, kind),
            names: BTreeSet::new(),
            num_named_rows: 0,
        }))
    }
}

/// Where the rows come from.
enum Source {
    Lines(Lines),
    Values(Values),
    List(List),
}

/// A row that was read, or what is wrong with it and at which byte of the file.
type Parsed = Result<Vec<crate::field::Cell>, (u64, String)>;

struct JsonRows {
    source: Source,
    numbers: LineNumbers,
    parser: RowParser,
    names: BTreeSet<String>,
    num_named_rows: usize,
}

impl JsonRows {
    fn parsed(&mut self) -> Result<Option<Parsed>, Error> {
        let (bytes, start, is_cut) = match &mut self.source {
            Source::Lines(lines) => loop {
                match lines.next()? {
                    Some(line) if line.is_blank() => {}
                    Some(line) => break (line.bytes, line.start, line.is_cut),
                    None => return Ok(None),
                }
            },
            Source::Values(values) => match values.next()? {
                Some(value) if value.is_open => {
                    let line = self.numbers.name(value.start)?;
                    let path = self.numbers.content().name().into();
                    let reason = format!("the object that starts in {line} never ends");
                    return Err(Error::Format { path, reason });
                }
                Some(value) => (value.bytes, value.start, value.is_cut),
                None => return Ok(None),
            },
            Source::List(list) => match list.next()? {
                Some(value) => (value.bytes, value.start, value.is_cut),
                None => return Ok(None),
            },
        };
        if is_cut {
            let reason = format!("is longer than {MAX_VALUE_BYTES} bytes");
            return Ok(Some(Err((start, reason))));
        }
        if self.num_named_rows < MAX_NAMED_ROWS && self.names.len() < MAX_NAMES {
            self.num_named_rows += 1;
            self.names.extend(row::names(bytes).unwrap_or_default());
        }
        let parsed = self.parser.read(bytes);
        // What is left of a line is the next row; what is left of a value is a mistake.
        let rest = parsed.as_ref().ok().map(|(_, length)| *length);
        let rest = rest.filter(|length| !bytes[*length..].trim_ascii().is_empty());
        if let (Source::Lines(lines), Some(rest)) = (&mut self.source, rest) {
            lines.put_back(rest);
        }
        let at_byte = |error: Unreadable| (start + error.at as u64, error.reason);
        Ok(Some(parsed.map(|(cells, _)| cells).map_err(at_byte)))
    }
}

impl RowReader for JsonRows {
    fn offset(&self) -> u64 {
        match &self.source {
            Source::Lines(lines) => lines.offset(),
            Source::Values(values) => values.offset(),
            Source::List(list) => list.offset(),
        }
    }

    fn next(&mut self) -> Result<Option<Row>, Error> {
        Ok(match self.parsed()? {
            None => None,
            Some(Ok(cells)) => Some(Ok(cells)),
            Some(Err((at, reason))) => {
                let place = self.numbers.name(at)?;
                Some(Err(format!("{place} {reason}")))
            }
        })
    }

    fn skip(&mut self) -> Result<bool, Error> {
        Ok(self.parsed()?.is_some())
    }

    fn columns(&self) -> Vec<String> {
        self.names.iter().cloned().collect()
    }
}
