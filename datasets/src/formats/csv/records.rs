//! Cuts a file into records of fields, and tells where each record starts.
//!
//! `csv-core` parses; this adds what pandas does around it: lines of nothing but blanks are passed
//! over, and a quote that is never closed is an error instead of a field that swallows the rest of
//! the file.

use std::io::{BufRead, BufReader, Read};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use crate::Error;
use crate::content::{SharedContent, unreadable};
use crate::formats::line_numbers::LineNumbers;

/// Most bytes of a record. Longer than any text that a model can take.
const MAX_RECORD_BYTES: usize = 16 << 20;

/// The two characters that give a file its shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) separator: u8,
    pub(super) quote: u8,
}

/// Reads the records of a file.
pub(super) struct Records {
    content: SharedContent,
    dialect: Dialect,
    reader: BufReader<Box<dyn Read + Send>>,
    parser: Reader,
    offset: u64,
    /// The fields of the current record, one after another, and where each ends.
    fields: Vec<u8>,
    ends: Vec<usize>,
    lengths: Lengths,
}

/// How much of the two buffers the current record fills.
#[derive(Debug, Clone, Copy, Default)]
struct Lengths {
    fields: usize,
    ends: usize,
}

impl Records {
    /// Reads from `offset` on, which must be the start of a record.
    pub(super) fn open(
        content: &SharedContent,
        offset: u64,
        dialect: Dialect,
    ) -> Result<Self, Error> {
        let reader = content.reader(offset).map_err(unreadable(content))?;
        let mut parser = ReaderBuilder::new()
            .delimiter(dialect.separator)
            .quote(dialect.quote)
            .build();
        // The parser drops a byte order mark from the first bytes it sees, also in the middle of a
        // file. It sees an empty line instead, which it passes over.
        parser.read_record(b"\n", &mut [], &mut []);
        Ok(Self {
            content: SharedContent::clone(content),
            dialect,
            reader: BufReader::with_capacity(1 << 16, reader),
            parser,
            offset,
            fields: vec![0; 1 << 10],
            ends: vec![0; 16],
            lengths: Lengths::default(),
        })
    }

    /// Returns where reading goes on.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the fields of the record that was read last.
    pub(super) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let ends = &self.ends[..self.lengths.ends];
        let starts = std::iter::once(&0).chain(ends);
        starts
            .zip(ends)
            .map(|(start, end)| &self.fields[*start..*end])
    }

    /// Passes over the next line, or a record whose fields contain line ends.
    pub(super) fn skip_line(&mut self) -> Result<(), Error> {
        let mut is_quoted = false;
        loop {
            let buffer = self.reader.fill_buf().map_err(unreadable(&self.content))?;
            let quote = self.dialect.quote;
            let end = buffer.iter().position(|byte| {
                is_quoted ^= *byte == quote;
                *byte == b'\n' && !is_quoted
            });
            let passed = end.map_or(buffer.len(), |end| end + 1);
            self.consume(passed);
            if end.is_some() || passed == 0 {
                return Ok(());
            }
        }
    }

    /// Reads the next record. Returns where it starts, or `None` at the end. Fails if a quote is
    /// never closed, or if the record is longer than [`MAX_RECORD_BYTES`].
    pub(super) fn next(&mut self) -> Result<Option<u64>, Error> {
        let Some((start, blanks)) = self.pass_blank_lines()? else {
            return Ok(None);
        };
        self.lengths = Lengths::default();
        // Blanks do not end a record, unless one of them is the separator; that they are not.
        let mut pending = blanks.as_slice();
        while !pending.is_empty() {
            let (_, taken) = self.parse(&Input::Given(pending), start)?;
            pending = &pending[taken..];
        }
        loop {
            let (is_complete, taken) = self.parse(&Input::File, start)?;
            self.consume(taken);
            if is_complete {
                return Ok(Some(start));
            }
        }
    }

    /// Gives the parser some bytes. Returns whether the record is complete, and how many bytes it
    /// took.
    fn parse(&mut self, input: &Input, start: u64) -> Result<(bool, usize), Error> {
        let (bytes, is_end) = match input {
            Input::Given(bytes) => (*bytes, false),
            Input::File => match self.reader.fill_buf().map_err(unreadable(&self.content))? {
                // A line end completes the last record, unless a quote is open.
                [] => (&b"\n"[..], true),
                bytes => (bytes, false),
            },
        };
        let Lengths { fields, ends } = self.lengths;
        let (result, taken, written, num_ends) =
            self.parser
                .read_record(bytes, &mut self.fields[fields..], &mut self.ends[ends..]);
        self.lengths.fields += written;
        self.lengths.ends += num_ends;
        match result {
            ReadRecordResult::Record => return Ok((true, if is_end { 0 } else { taken })),
            ReadRecordResult::OutputFull => {
                if self.fields.len() >= MAX_RECORD_BYTES {
                    return Err(self.unclosed(start));
                }
                self.fields.resize(self.fields.len() * 2, 0);
            }
            ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
            ReadRecordResult::InputEmpty | ReadRecordResult::End if is_end => {
                return Err(self.unclosed(start));
            }
            ReadRecordResult::InputEmpty | ReadRecordResult::End => {}
        }
        Ok((false, if is_end { 0 } else { taken }))
    }

    /// Passes over lines that hold only blanks. Returns where the next record starts, and the
    /// blanks that it starts with, which have been read already.
    fn pass_blank_lines(&mut self) -> Result<Option<(u64, Vec<u8>)>, Error> {
        let mut blanks = Vec::new();
        loop {
            let buffer = self.reader.fill_buf().map_err(unreadable(&self.content))?;
            let Some(&byte) = buffer.first() else {
                return Ok(None);
            };
            let is_separator = byte == self.dialect.separator;
            match byte {
                b' ' | b'\t' if !is_separator && blanks.len() < MAX_RECORD_BYTES => {
                    blanks.push(byte);
                }
                b'\n' | b'\r' => blanks.clear(),
                _ => return Ok(Some((self.offset - blanks.len() as u64, blanks))),
            }
            self.consume(1);
        }
    }

    fn unclosed(&self, start: u64) -> Error {
        let line = match LineNumbers::new(&self.content).name(start) {
            Ok(line) => line,
            Err(error) => return error,
        };
        let quote = char::from(self.dialect.quote);
        Error::Format {
            path: self.content.name().into(),
            reason: format!("the record that starts in {line} has a {quote} that is never closed"),
        }
    }

    fn consume(&mut self, passed: usize) {
        self.reader.consume(passed);
        self.offset += passed as u64;
    }
}

/// Where the parser's next bytes come from.
enum Input<'a> {
    Given(&'a [u8]),
    File,
}
