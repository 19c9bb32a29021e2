//! Plain text: a row per line, per paragraph or per file, in the column `text`.
//!
//! As in Python, `\n`, `\r\n` and `\r` all end a line, and inside a row each of them is `\n`. A byte
//! order mark is part of the first row, as in `datasets`, unless the encoding is `utf-8-sig`.

use whence_schemas::{FormatOptions, SampleBy};

use super::line_numbers::LineNumbers;
use super::lines::{Lines, MAX_LINE_BYTES};
use super::text_start::text_start;
use crate::Error;
use crate::content::SharedContent;
use crate::field::{Cell, FieldPath};
use crate::format::{Format, Row, RowReader};

/// The only column.
const COLUMN: &str = "text";

/// The format with its options.
#[derive(Debug)]
pub(super) struct Text {
    sample_by: SampleBy,
    keeps_line_ends: bool,
    has_signature: bool,
}

impl Text {
    pub(super) fn new(options: &FormatOptions) -> Self {
        Self {
            sample_by: options.sample_by,
            keeps_line_ends: options.keep_linebreaks,
            has_signature: options.encoding.as_deref() == Some("utf-8-sig"),
        }
    }
}

impl Format for Text {
    fn open(
        &self,
        content: &SharedContent,
        offset: u64,
        fields: &[FieldPath],
    ) -> Result<Box<dyn RowReader>, Error> {
        let start = text_start(content)?;
        let lines = if self.has_signature {
            Lines::open_at(content, offset.max(start))
        } else {
            Lines::open_at(content, offset)
        };
        Ok(Box::new(TextRows {
            lines: lines?,
            numbers: LineNumbers::new(content),
            sample_by: self.sample_by,
            keeps_line_ends: self.keeps_line_ends,
            are_text: fields
                .iter()
                .map(|field| field.as_str() == COLUMN)
                .collect(),
            is_started: offset > 0,
        }))
    }
}

struct TextRows {
    lines: Lines,
    numbers: LineNumbers,
    sample_by: SampleBy,
    keeps_line_ends: bool,
    /// Whether each requested field is the column.
    are_text: Vec<bool>,
    /// Whether a row was given; an empty file is one empty document.
    is_started: bool,
}

/// The bytes of a row, and where they start in the file.
struct Sample {
    start: u64,
    bytes: Vec<u8>,
    is_cut: bool,
}

impl TextRows {
    fn sample(&mut self) -> Result<Option<Sample>, Error> {
        match self.sample_by {
            SampleBy::Line => {
                let mut row = self.empty_sample();
                let has_line = self.add_line(&mut row)?;
                if !self.keeps_line_ends && row.bytes.last() == Some(&b'\n') {
                    row.bytes.pop();
                }
                Ok(has_line.then_some(row))
            }
            SampleBy::Paragraph => self.paragraph(),
            SampleBy::Document => {
                let mut row = self.empty_sample();
                while self.add_line(&mut row)? {}
                let is_first = !std::mem::replace(&mut self.is_started, true);
                Ok(is_first.then_some(row))
            }
        }
    }

    /// Returns the next block of lines that ends with an empty line; blocks without text are left
    /// out.
    fn paragraph(&mut self) -> Result<Option<Sample>, Error> {
        let mut row = self.empty_sample();
        while self.add_line(&mut row)? {
            if row.bytes.ends_with(b"\n\n") {
                row.bytes.truncate(row.bytes.len() - 2);
                if !row.bytes.is_empty() {
                    return Ok(Some(row));
                }
                row = self.empty_sample();
            }
        }
        Ok((!row.bytes.is_empty()).then_some(row))
    }

    fn empty_sample(&self) -> Sample {
        Sample {
            start: self.lines.offset(),
            bytes: Vec::new(),
            is_cut: false,
        }
    }

    /// Adds the next line and its end. Returns false at the end of the file.
    fn add_line(&mut self, row: &mut Sample) -> Result<bool, Error> {
        let Some(line) = self.lines.next()? else {
            return Ok(false);
        };
        row.is_cut |= line.is_cut;
        // The line was found by `\n`; a lone `\r` ends one, too.
        let carriage_return = memchr::memchr(b'\r', line.bytes);
        let end = carriage_return.unwrap_or(line.bytes.len());
        let is_terminated = line.is_terminated || carriage_return.is_some();
        if row.bytes.len() + end > MAX_LINE_BYTES {
            row.is_cut = true;
        } else {
            row.bytes.extend_from_slice(&line.bytes[..end]);
            row.bytes
                .extend_from_slice(if is_terminated { b"\n" } else { b"" });
        }
        if let Some(end) = carriage_return {
            self.lines.put_back(end + 1);
        }
        Ok(true)
    }
}

impl RowReader for TextRows {
    fn offset(&self) -> u64 {
        self.lines.offset()
    }

    fn next(&mut self) -> Result<Option<Row>, Error> {
        let Some(Sample {
            start,
            bytes,
            is_cut,
        }) = self.sample()?
        else {
            return Ok(None);
        };
        let text = if is_cut {
            Err(format!("is longer than {MAX_LINE_BYTES} bytes"))
        } else {
            String::from_utf8(bytes)
                .map_err(|error| format!("is not UTF-8 ({error}); set the option `encoding`"))
        };
        Ok(Some(match text {
            Err(reason) => Err(format!("{} {reason}", self.numbers.name(start)?)),
            Ok(text) => {
                let cell = |is_text: &bool| match is_text {
                    true => Cell::Text(text.clone()),
                    false => Cell::Absent,
                };
                Ok(self.are_text.iter().map(cell).collect())
            }
        }))
    }

    fn skip(&mut self) -> Result<bool, Error> {
        Ok(self.sample()?.is_some())
    }

    fn columns(&self) -> Vec<String> {
        vec![COLUMN.to_owned()]
    }
}
