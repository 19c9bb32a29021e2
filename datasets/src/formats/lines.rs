//! Reads a text file line by line and tells where each line starts.
//!
//! Only one line at a time is in memory, and no more than [`MAX_LINE_BYTES`] of it, so that a file
//! without line ends cannot exhaust the memory.

use std::io::{BufRead, BufReader, Read};

use super::text_start::text_start;
use crate::Error;
use crate::content::{SharedContent, unreadable};

/// Most bytes of a line that are kept. Longer than any text that a model can take.
pub(super) const MAX_LINE_BYTES: usize = 16 << 20;

/// Reads a file line by line.
pub(super) struct Lines {
    content: SharedContent,
    reader: BufReader<Box<dyn Read + Send>>,
    /// The current line, and where it starts in the file.
    line: Vec<u8>,
    line_start: u64,
    is_cut: bool,
    /// Where in the current line the part starts that was given last.
    from: usize,
    /// Where in the current line reading goes on, if a part of it was put back.
    rest: Option<usize>,
    /// Where the line after the current one starts in the file.
    next_line: u64,
}

/// One line, or the rest of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    /// Its bytes without the line end, cut off after [`MAX_LINE_BYTES`].
    pub(super) bytes: &'a [u8],
    /// Where it starts in the file, in bytes.
    pub(super) start: u64,
    /// Whether it was longer than [`MAX_LINE_BYTES`] and is therefore cut off.
    pub(super) is_cut: bool,
    /// Whether a line end follows; only the last line of a file may lack it.
    pub(super) is_terminated: bool,
}

impl Line<'_> {
    /// Returns whether it is empty or holds only ASCII whitespace.
    pub(super) fn is_blank(&self) -> bool {
        self.bytes.trim_ascii().is_empty()
    }
}

impl Lines {
    /// Opens a file at `offset`, which must be the start of a line. A byte order mark at the start
    /// of the file is passed over. Fails if the file is UTF-16.
    pub(super) fn open(content: &SharedContent, offset: u64) -> Result<Self, Error> {
        let start = text_start(content)?;
        Self::open_at(content, offset.max(start))
    }

    /// Opens a file at exactly `offset`, also before a byte order mark.
    pub(super) fn open_at(content: &SharedContent, offset: u64) -> Result<Self, Error> {
        let reader = content.reader(offset).map_err(unreadable(content))?;
        Ok(Self {
            content: SharedContent::clone(content),
            reader: BufReader::with_capacity(1 << 16, reader),
            line: Vec::new(),
            line_start: offset,
            is_cut: false,
            from: 0,
            rest: None,
            next_line: offset,
        })
    }

    /// Returns where the next line starts, in bytes.
    pub(super) fn offset(&self) -> u64 {
        match self.rest {
            Some(from) => self.line_start + from as u64,
            None => self.next_line,
        }
    }

    /// Makes the line that was given last go on with its byte `from`, as the next one.
    pub(super) fn put_back(&mut self, from: usize) {
        self.rest = Some(self.from + from);
    }

    /// Returns the next line, or `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, Error> {
        match self.rest.take() {
            Some(from) => self.from = from,
            None if self.read_line()? => self.from = 0,
            None => return Ok(None),
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let is_terminated = line.len() < self.line.len();
        Ok(Some(Line {
            bytes: line.get(self.from..).unwrap_or_default(),
            start: self.line_start + self.from as u64,
            is_cut: self.is_cut,
            is_terminated,
        }))
    }

    /// Reads the next line. Returns false at the end of the file.
    fn read_line(&mut self) -> Result<bool, Error> {
        self.line.clear();
        self.line_start = self.next_line;
        // One byte more than the limit, for the line end of a line that just fits.
        let mut kept = (&mut self.reader).take(MAX_LINE_BYTES as u64 + 1);
        let read = kept
            .read_until(b'\n', &mut self.line)
            .map_err(unreadable(&self.content))?;
        self.next_line += read as u64;
        self.is_cut = read > MAX_LINE_BYTES && self.line.last() != Some(&b'\n');
        if self.is_cut {
            self.line.truncate(MAX_LINE_BYTES);
            self.pass_line_end()?;
        }
        Ok(read > 0)
    }

    /// Skips the rest of the current line and its line end.
    fn pass_line_end(&mut self) -> Result<(), Error> {
        loop {
            let buffer = self.reader.fill_buf().map_err(unreadable(&self.content))?;
            let end = memchr::memchr(b'\n', buffer);
            let passed = end.map_or(buffer.len(), |end| end + 1);
            self.reader.consume(passed);
            self.next_line += passed as u64;
            if end.is_some() || passed == 0 {
                return Ok(());
            }
        }
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
        let content = crate::content::local(&path).unwrap();
        let mut lines = Lines::open(&content, 0).unwrap();
        let mut read = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            read.push((line.start, String::from_utf8(line.bytes.to_vec()).unwrap()));
        }
        assert_eq!(
            read,
            [(3, "one".into()), (8, String::new()), (9, "two".into())]
        );
        let mut lines = Lines::open(&content, 9).unwrap();
        assert_eq!(lines.next().unwrap().unwrap().bytes, b"two");
    }

    #[test]
    fn a_part_of_a_line_can_be_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "one two\nthree").unwrap();
        let content = crate::content::local(&path).unwrap();
        let mut lines = Lines::open(&content, 0).unwrap();
        lines.next().unwrap();
        lines.put_back(2);
        assert_eq!(lines.offset(), 2);
        assert_eq!(lines.next().unwrap().unwrap().bytes, b"e two");
        lines.put_back(2);
        let rest = lines.next().unwrap().unwrap();
        assert_eq!((rest.bytes, rest.start), (&b"two"[..], 4));
        assert_eq!(lines.next().unwrap().unwrap().start, 8);
    }

    #[test]
    fn an_endless_line_is_cut_and_the_next_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut bytes = vec![b'x'; MAX_LINE_BYTES + 70_000];
        bytes.extend(b"\nnext\n");
        std::fs::write(&path, bytes).unwrap();
        let content = crate::content::local(&path).unwrap();
        let mut lines = Lines::open(&content, 0).unwrap();
        let first = lines.next().unwrap().unwrap();
        assert!(first.is_cut && first.bytes.len() == MAX_LINE_BYTES);
        assert_eq!(lines.next().unwrap().unwrap().bytes, b"next");
    }
}
