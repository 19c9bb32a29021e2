//! Names the lines of a text file in messages.

use std::io::{BufRead, BufReader, Read};
use std::ops::Range;

use crate::Error;
use crate::content::{SharedContent, unreadable};

/// How many bytes are searched for line ends, at most, to number a line for an error message.
/// Without a limit, a dataset with many bad rows would be read again from its start for each shard.
const MAX_COUNTED_BYTES: u64 = 256 << 20;

/// Numbers the lines of a file.
pub(super) struct LineNumbers {
    content: SharedContent,
    /// A place in the file and the number of its line. Later lines are numbered by counting on.
    counted: (u64, u64),
}

impl LineNumbers {
    pub(super) fn new(content: &SharedContent) -> Self {
        Self {
            content: SharedContent::clone(content),
            counted: (0, 1),
        }
    }

    /// Returns the file.
    pub(super) fn content(&self) -> &SharedContent {
        &self.content
    }

    /// Returns the name of the line that holds the byte at `offset`: its number, counted from 1, or
    /// the byte if counting would take too long.
    pub(super) fn name(&mut self, offset: u64) -> Result<String, Error> {
        if offset < self.counted.0 {
            self.counted = (0, 1);
        }
        let (from, number) = self.counted;
        if offset - from > MAX_COUNTED_BYTES {
            return Ok(format!("the line at byte {offset}"));
        }
        let ends = count_line_ends(&self.content, from..offset);
        let number = number + ends.map_err(unreadable(&self.content))?;
        self.counted = (offset, number);
        Ok(format!("line {number}"))
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
    fn lines_can_be_numbered_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "\u{feff}one\r\n\ntwo").unwrap();
        let mut numbers = LineNumbers::new(&crate::content::local(&path).unwrap());
        for (start, name) in [(9, "line 3"), (8, "line 2"), (3, "line 1"), (11, "line 3")] {
            assert_eq!(numbers.name(start).unwrap(), name);
        }
    }
}
