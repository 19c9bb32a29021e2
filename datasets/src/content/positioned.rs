//! A file with a position that can be moved, for libraries that read archives that way.

use std::io::{self, Read, Seek, SeekFrom};

use super::SharedContent;

/// Reads a file from a position that can be moved.
pub(super) struct Positioned {
    content: SharedContent,
    position: u64,
}

impl Positioned {
    pub(super) fn new(content: &SharedContent) -> Self {
        Self {
            content: SharedContent::clone(content),
            position: 0,
        }
    }
}

impl Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = (self.position + buffer.len() as u64).min(self.content.num_bytes());
        if self.position >= end {
            return Ok(0);
        }
        let bytes = self.content.read_range(self.position..end)?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        self.position = end;
        Ok(bytes.len())
    }
}

impl Seek for Positioned {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (from, by) = match to {
            SeekFrom::Start(position) => (position, 0),
            SeekFrom::End(by) => (self.content.num_bytes(), by),
            SeekFrom::Current(by) => (self.position, by),
        };
        self.position = from
            .checked_add_signed(by)
            .ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
