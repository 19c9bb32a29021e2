//! Cuts a stream of bytes into JSON values: those of a list, or values one after another.
//!
//! Only brackets and quotes are looked at; whether a value is JSON, its parser says. One value is
//! in memory at a time, and no more than [`MAX_VALUE_BYTES`] of it.

use std::io::{BufRead, BufReader, Read};

use crate::Error;
use crate::content::{SharedContent, unreadable};

/// Most bytes of a value that are kept. Longer than any text that a model can take.
pub(super) const MAX_VALUE_BYTES: usize = 16 << 20;

/// Reads JSON values from a file.
pub(super) struct Values {
    content: SharedContent,
    reader: BufReader<Box<dyn Read + Send>>,
    offset: u64,
    value: Vec<u8>,
}

/// A value that was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct ValueBytes<'a> {
    /// Its bytes, cut off after [`MAX_VALUE_BYTES`].
    pub(super) bytes: &'a [u8],
    /// Where it starts in the file.
    pub(super) start: u64,
    /// Whether it is longer and therefore cut off.
    pub(super) is_cut: bool,
    /// Whether the file ends before the value does.
    pub(super) is_open: bool,
}

impl Values {
    /// Reads from `offset` on, which must not be inside a value.
    pub(super) fn open(content: &SharedContent, offset: u64) -> Result<Self, Error> {
        let reader = content.reader(offset).map_err(unreadable(content))?;
        Ok(Self {
            content: SharedContent::clone(content),
            reader: BufReader::with_capacity(1 << 16, reader),
            offset,
            value: Vec::new(),
        })
    }

    /// Returns where reading goes on.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Passes over whitespace. Returns the next byte without consuming it, or `None` at the end.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, Error> {
        loop {
            let buffer = self.reader.fill_buf().map_err(unreadable(&self.content))?;
            let blank = buffer.iter().position(|byte| !is_blank(*byte));
            let found = blank.map(|at| buffer[at]);
            let passed = blank.unwrap_or(buffer.len());
            let is_end = buffer.is_empty();
            self.consume(passed);
            if found.is_some() || is_end {
                return Ok(found);
            }
        }
    }

    /// Passes over one byte.
    pub(super) fn bump(&mut self) {
        self.consume(1);
    }

    /// Returns the next value; `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<ValueBytes<'_>>, Error> {
        if self.peek()?.is_none() {
            return Ok(None);
        }
        let start = self.offset;
        self.value.clear();
        let is_open = !self.scan(Scan::default(), true)?;
        Ok(Some(ValueBytes {
            bytes: &self.value[..self.value.len().min(MAX_VALUE_BYTES)],
            start,
            is_cut: self.value.len() > MAX_VALUE_BYTES,
            is_open,
        }))
    }

    /// Passes over the rest of an object or list. Returns false if the file ends before.
    pub(super) fn close(&mut self) -> Result<bool, Error> {
        let inside = Scan {
            depth: 1,
            ..Scan::default()
        };
        self.scan(inside, false)
    }

    /// Passes over bytes until the value is complete. Returns whether it is.
    fn scan(&mut self, mut scan: Scan, keep: bool) -> Result<bool, Error> {
        loop {
            let buffer = self.reader.fill_buf().map_err(unreadable(&self.content))?;
            if buffer.is_empty() {
                // A number at the end of the file is complete.
                return Ok(scan.is_literal);
            }
            let end = scan.end_in(buffer);
            let passed = end.unwrap_or(buffer.len());
            if keep {
                // One byte more than the limit tells that it was exceeded.
                let room = (MAX_VALUE_BYTES + 1).saturating_sub(self.value.len());
                self.value.extend_from_slice(&buffer[..passed.min(room)]);
            }
            self.consume(passed);
            if end.is_some() {
                return Ok(true);
            }
        }
    }

    fn consume(&mut self, passed: usize) {
        self.reader.consume(passed);
        self.offset += passed as u64;
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// How far the scan of one value is.
#[derive(Debug, Clone, Copy, Default)]
struct Scan {
    depth: usize,
    is_text: bool,
    /// Whether the last byte, in a text, was a backslash.
    is_escaped: bool,
    /// Whether the value is a number or a word, which ends where something else begins.
    is_literal: bool,
}

impl Scan {
    /// Returns where in `bytes` the value ends; `None` if it goes on after them.
    fn end_in(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if self.is_text {
                at += self.text_end(&bytes[at..]);
                if self.is_text {
                    return None;
                }
                if self.depth == 0 {
                    return Some(at);
                }
                continue;
            }
            let byte = bytes[at];
            if self.is_literal && (is_blank(byte) || b",]}[{\"".contains(&byte)) {
                return Some(at);
            }
            at += 1;
            match byte {
                b'"' => self.is_text = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at);
                    }
                }
                _ => self.is_literal = self.depth == 0,
            }
        }
        None
    }

    /// Returns how many bytes of `bytes` belong to the text that the scan is in.
    fn text_end(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        if std::mem::take(&mut self.is_escaped) {
            at = 1;
        }
        while let Some(found) = memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
            at += found + 1;
            if bytes[at - 1] == b'"' {
                self.is_text = false;
                return at;
            }
            if at == bytes.len() {
                self.is_escaped = true;
                return at;
            }
            at += 1;
        }
        bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_end_where_their_brackets_close() {
        let cut = |text: &str| Scan::default().end_in(text.as_bytes());
        assert_eq!(cut(r#"{"a": "}\"{", "b": [1]} {}"#), Some(23));
        assert_eq!(cut(r#""a\\" "b""#), Some(5));
        assert_eq!(cut("12 13"), Some(2));
        assert_eq!(cut("null,"), Some(4));
        assert_eq!(cut("{\"a\": "), None);
    }

    #[test]
    fn a_value_may_be_cut_between_any_two_reads() {
        let text = r#"{"a": "}\"{\\", "b": [1, "]"]} "#;
        for middle in 0..text.len() {
            let mut scan = Scan::default();
            let (first, second) = text.as_bytes().split_at(middle);
            let end = scan
                .end_in(first)
                .or_else(|| Some(middle + scan.end_in(second)?));
            assert_eq!(end, Some(text.len() - 1), "{middle}");
        }
    }
}
