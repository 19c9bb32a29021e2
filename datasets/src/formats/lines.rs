//! Reads a file line by line and tells where each line starts.
//!
//! Only one line at a time is in memory, and no more than [`MAX_LINE_BYTES`] of it, so that a file
//! without line ends cannot exhaust the memory.

use std::io::{BufRead, BufReader, Read};
use std::ops::Range;

use crate::Error;
use crate::content::{SharedContent, unreadable};

/// Most bytes of a line that are kept. Longer than any text that a model can take.
pub(super) const MAX_LINE_BYTES: usize = 16 << 20;

/// Reads a file line by line.
pub(super) struct Lines {
    content: SharedContent,
    reader: BufReader<Box<dyn Read + Send>>,
    offset: u64,
    line: Vec<u8>,
    /// The offset of a line and its number. Later lines are numbered by counting on from there.
    counted: (u64, u64),
}

/// How many bytes are searched for line ends, at most, to number a line for an error message.
/// Without a limit, a dataset with many bad rows would be read again from its start for each shard.
const MAX_COUNTED_BYTES: u64 = 256 << 20;

/// One line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    /// Its bytes without the line end, cut off after [`MAX_LINE_BYTES`].
    pub(super) bytes: &'a [u8],
    /// Where it starts in the file, in bytes.
    pub(super) start: u64,
    /// Whether it was longer than [`MAX_LINE_BYTES`] and is therefore cut off.
    pub(super) is_cut: bool,
}

impl Line<'_> {
    /// Returns whether it is empty or holds only ASCII whitespace.
    pub(super) fn is_blank(&self) -> bool {
        self.bytes.trim_ascii().is_empty()
    }
}

impl Lines {
    /// Opens a file at `offset`, which must be the start of a line. A byte order mark at the start
    /// of the file is skipped.
    pub(super) fn open(content: &SharedContent, offset: u64) -> Result<Self, Error> {
        let mut lines = Self {
            content: SharedContent::clone(content),
            reader: BufReader::with_capacity(0, Box::new(std::io::empty())),
            offset: 0,
            line: Vec::new(),
            counted: (0, 1),
        };
        lines.seek(offset)?;
        Ok(lines)
    }

    /// Moves to `offset`, which must be the start of a line.
    pub(super) fn seek(&mut self, offset: u64) -> Result<(), Error> {
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        let reader = self.content.reader(offset);
        let reader = reader.map_err(unreadable(&self.content))?;
        self.reader = BufReader::with_capacity(1 << 16, reader);
        self.offset = offset;
        if offset == 0 {
            let start = self.reader.fill_buf().map_err(unreadable(&self.content))?;
            if start.starts_with(BYTE_ORDER_MARK) {
                self.reader.consume(BYTE_ORDER_MARK.len());
                self.offset = BYTE_ORDER_MARK.len() as u64;
            }
        }
        Ok(())
    }

    /// Returns where the next line starts, in bytes.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the file.
    pub(super) fn content(&self) -> &SharedContent {
        &self.content
    }

    /// Returns the name of the line that starts at `start`, for error messages: its number, counted
    /// from 1, or its byte offset if counting would take too long.
    pub(super) fn name(&mut self, start: u64) -> Result<String, Error> {
        if start < self.counted.0 {
            self.counted = (0, 1);
        }
        let (from, number) = self.counted;
        if start - from > MAX_COUNTED_BYTES {
            return Ok(format!("the line at byte {start}"));
        }
        let passed =
            count_line_ends(&self.content, from..start).map_err(unreadable(&self.content))?;
        self.counted = (start, number + passed);
        Ok(format!("line {}", number + passed))
    }

    /// Returns the next line, or `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, Error> {
        let start = self.offset;
        self.line.clear();
        // One byte more than the limit, for the line end of a line that just fits.
        let mut kept = (&mut self.reader).take(MAX_LINE_BYTES as u64 + 1);
        let read = kept
            .read_until(b'\n', &mut self.line)
            .map_err(unreadable(&self.content))?;
        if read == 0 {
            return Ok(None);
        }
        self.offset += read as u64;
        let is_cut = read > MAX_LINE_BYTES && self.line.last() != Some(&b'\n');
        if is_cut {
            self.line.truncate(MAX_LINE_BYTES);
            self.pass_line_end()?;
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        Ok(Some(Line {
            bytes: line.strip_suffix(b"\r").unwrap_or(line),
            start,
            is_cut,
        }))
    }

    /// Skips the rest of the current line and its line end.
    fn pass_line_end(&mut self) -> Result<(), Error> {
        loop {
            let buffer = self.reader.fill_buf().map_err(unreadable(&self.content))?;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let passed = end.map_or(buffer.len(), |end| end + 1);
            self.reader.consume(passed);
            self.offset += passed as u64;
            if end.is_some() || passed == 0 {
                return Ok(());
            }
        }
    }
}

/// Counts the line ends in `range` of a file. It reads the file separately, so that the position
/// of the caller's reader does not move.
fn count_line_ends(content: &SharedContent, range: Range<u64>) -> std::io::Result<u64> {
    let from_start = content.reader(range.start)?;
    let mut reader = BufReader::with_capacity(1 << 16, from_start.take(range.end - range.start));
    let mut count = 0;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(count);
        }
        count += memchr::memchr_iter(b'\n', buffer).count() as u64;
        let read = buffer.len();
        reader.consume(read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_where_it_starts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "\u{feff}one\r\n\ntwo").unwrap();
        let path = crate::content::local(&path).unwrap();
        let mut lines = Lines::open(&path, 0).unwrap();
        let mut read = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            read.push((line.start, String::from_utf8(line.bytes.to_vec()).unwrap()));
        }
        assert_eq!(
            read,
            [(3, "one".into()), (8, String::new()), (9, "two".into())]
        );
        lines.seek(9).unwrap();
        assert_eq!(lines.next().unwrap().unwrap().bytes, b"two");
        // Lines can be numbered in any order, also by a reader that was opened in the middle.
        for (start, name) in [(9, "line 3"), (8, "line 2"), (3, "line 1"), (9, "line 3")] {
            assert_eq!(lines.name(start).unwrap(), name);
        }
        assert_eq!(Lines::open(&path, 9).unwrap().name(9).unwrap(), "line 3");
    }

    #[test]
    fn an_endless_line_is_cut_and_the_next_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut bytes = vec![b'x'; MAX_LINE_BYTES + 70_000];
        bytes.extend(b"\nnext\n");
        std::fs::write(&path, bytes).unwrap();
        let path = crate::content::local(&path).unwrap();
        let mut lines = Lines::open(&path, 0).unwrap();
        let first = lines.next().unwrap().unwrap();
        assert!(first.is_cut && first.bytes.len() == MAX_LINE_BYTES);
        assert_eq!(lines.next().unwrap().unwrap().bytes, b"next");
    }
}
