//! Comma- and tab-separated values: a header, then one record per row.
//!
//! Quotes work as in RFC 4180: a field that starts with `"` ends with `"`, and in between, `""`
//! stands for one quote and line ends belong to the field. A quote that is never closed makes only
//! its first line unreadable: reading resumes with the next line.

use whence_schemas::FormatOptions;

use super::lines::{Lines, MAX_LINE_BYTES};
use crate::Error;
use crate::content::SharedContent;
use crate::field::{Cell, FieldPath};
use crate::format::{Format, Row, RowReader};

/// The format, with the character that separates its fields.
#[derive(Debug)]
pub(super) struct Delimited {
    separator: u8,
}

impl Delimited {
    pub(super) fn new(options: &FormatOptions) -> Result<Self, String> {
        match options.sep.as_deref().unwrap_or(",").as_bytes() {
            &[separator] => Ok(Self { separator }),
            _ => Err("`sep` must be one ASCII character".to_owned()),
        }
    }

    fn rows(
        &self,
        content: &SharedContent,
        offset: u64,
        fields: &[FieldPath],
    ) -> Result<DelimitedRows, Error> {
        let mut rows = DelimitedRows {
            lines: Lines::open(content, 0)?,
            separator: self.separator,
            header: Vec::new(),
            places: Vec::new(),
        };
        let Some((_, header)) = rows.record()? else {
            return Ok(rows);
        };
        rows.header = header.map_err(|reason| Error::Format {
            path: content.name().into(),
            reason: format!("its header cannot be read: {reason}"),
        })?;
        let place = |field: &FieldPath| rows.header.iter().position(|name| name == field.as_str());
        rows.places = fields.iter().map(place).collect();
        // Offset 0 stands for the first row, and the header has just been read.
        if offset > rows.lines.offset() {
            rows.lines.seek(offset)?;
        }
        Ok(rows)
    }
}

impl Format for Delimited {
    fn open(
        &self,
        content: &SharedContent,
        offset: u64,
        fields: &[FieldPath],
    ) -> Result<Box<dyn RowReader>, Error> {
        Ok(Box::new(self.rows(content, offset, fields)?))
    }

    fn count(&self, content: &SharedContent) -> Result<u64, Error> {
        let mut rows = self.rows(content, 0, &[])?;
        let mut count = 0;
        while rows.skip()? {
            count += 1;
        }
        Ok(count)
    }
}

/// The fields of one record, or what is wrong with it.
type Fields = Result<Vec<String>, String>;

struct DelimitedRows {
    lines: Lines,
    separator: u8,
    header: Vec<String>,
    /// The column of each requested field; `None` if the header lacks it.
    places: Vec<Option<usize>>,
}

impl DelimitedRows {
    /// Returns the offset of the next record, and its fields or what is wrong with it; `None` at
    /// the end.
    ///
    /// If a quote is never closed or the record is too long, only the record's first line is given
    /// up: reading resumes with the line after it.
    fn record(&mut self) -> Result<Option<(u64, Fields)>, Error> {
        let mut record = Record::default();
        let mut first: Option<(u64, u64)> = None;
        loop {
            let Some(line) = self.lines.next()? else {
                let Some((start, second)) = first else {
                    return Ok(None);
                };
                self.lines.seek(second)?;
                return Ok(Some((start, Err("a quote is never closed".to_owned()))));
            };
            if first.is_none() && line.is_blank() {
                continue;
            }
            let (start, is_cut) = (line.start, line.is_cut);
            let is_complete = record.push(line.bytes, self.separator);
            let (start, second) = *first.get_or_insert((start, self.lines.offset()));
            if is_cut || record.num_bytes > MAX_LINE_BYTES {
                self.lines.seek(second)?;
                let reason = format!("it is longer than {MAX_LINE_BYTES} bytes");
                return Ok(Some((start, Err(reason))));
            }
            if is_complete {
                return Ok(Some((start, record.into_text())));
            }
        }
    }
}

impl RowReader for DelimitedRows {
    fn offset(&self) -> u64 {
        self.lines.offset()
    }

    fn next(&mut self) -> Result<Option<Row>, Error> {
        let Some((start, record)) = self.record()? else {
            return Ok(None);
        };
        let cells: Row = record.and_then(|record| {
            if record.len() != self.header.len() {
                let (found, expected) = (record.len(), self.header.len());
                return Err(format!("it has {found} fields, the header has {expected}"));
            }
            let cell = |place: &Option<usize>| match place.map(|place| record[place].as_str()) {
                None => Cell::Absent,
                Some("") => Cell::Null,
                Some(text) => Cell::Text(text.to_owned()),
            };
            Ok(self.places.iter().map(cell).collect())
        });
        Ok(Some(match cells {
            Ok(cells) => Ok(cells),
            Err(reason) => {
                let line = self.lines.name(start)?;
                Err(format!("{line} cannot be read: {reason}"))
            }
        }))
    }

    fn skip(&mut self) -> Result<bool, Error> {
        Ok(self.record()?.is_some())
    }

    fn columns(&self) -> Vec<String> {
        self.header.clone()
    }
}

/// One record while its lines are being read. A record has several lines if a quoted field does.
#[derive(Default)]
struct Record {
    fields: Vec<Vec<u8>>,
    field: Vec<u8>,
    is_quoted: bool,
    num_bytes: usize,
}

impl Record {
    /// Adds the record's next line. Returns whether the record is now complete.
    fn push(&mut self, line: &[u8], separator: u8) -> bool {
        if self.is_quoted {
            self.field.push(b'\n');
        }
        self.num_bytes += line.len() + 1;
        let mut bytes = line.iter().copied().peekable();
        let mut at_start = !self.is_quoted;
        while let Some(byte) = bytes.next() {
            // Only a quote at the start of a field opens a quoted one; elsewhere it is plain text.
            let starts_field = std::mem::replace(&mut at_start, false);
            if self.is_quoted {
                if byte != b'"' {
                    self.field.push(byte);
                } else if bytes.next_if_eq(&b'"').is_some() {
                    self.field.push(b'"');
                } else {
                    self.is_quoted = false;
                }
            } else if byte == separator {
                self.fields.push(std::mem::take(&mut self.field));
                at_start = true;
            } else if byte == b'"' && starts_field {
                self.is_quoted = true;
            } else {
                self.field.push(byte);
            }
        }
        if !self.is_quoted {
            self.fields.push(std::mem::take(&mut self.field));
        }
        !self.is_quoted
    }

    fn into_text(self) -> Result<Vec<String>, String> {
        let fields = self.fields.into_iter().map(String::from_utf8);
        fields
            .collect::<Result<_, _>>()
            .map_err(|error| format!("it is not UTF-8: {error}"))
    }
}
