//! Files that are read by ranges over the network.
//!
//! What was read is kept on disk, so a range is transferred once. Large ranges are asked for in
//! pieces: what a connection that breaks costs is a part of one piece.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Buf, Bytes};

use super::kept::KeptRanges;
use super::ring::FileKey;
use super::transfer::{self, Arrival};
use super::{Content, SharedContent, network};

/// Bytes asked for at least: heads of messages and files are read a few bytes at a time.
const LEAST_BYTES: u64 = 4 << 10;
/// Bytes asked for at first when a file is read straight on. Whoever only looks at the start of a
/// file gets no more than this.
const FIRST_READ_BYTES: u64 = 128 << 10;
/// Bytes asked for at a time later, after doubling: large enough that the round trip hardly counts,
/// small enough that a few readers do not fill the memory.
const PIECE_BYTES: u64 = 8 << 20;

/// Something that gives any range of a file's bytes.
#[async_trait]
pub trait RangeSource: fmt::Debug + Send + Sync + 'static {
    /// Returns the bytes in `range`: all of them, or an error. Waits for a server that does not
    /// answer, and goes on where a connection broke.
    async fn read(&self, range: Range<u64>) -> io::Result<Bytes>;

    /// Returns whether parts of the file can be had. Otherwise it is read to its end every time.
    async fn has_ranges(&self) -> io::Result<bool> {
        Ok(true)
    }
}

/// A version of a file on another machine.
#[derive(Debug, Clone)]
pub struct PinnedFile {
    /// Gives its bytes.
    pub source: Arc<dyn RangeSource>,
    /// Its address, for messages.
    pub name: String,
    /// Its length in bytes.
    pub num_bytes: u64,
    /// What tells its bytes from those of every other version of it.
    pub version: String,
}

/// Returns the content of a remote file. What is read of it is kept in `kept`.
pub fn remote(file: PinnedFile, kept: &KeptRanges) -> SharedContent {
    let mut hasher = blake3::Hasher::new();
    for part in [&file.name, &file.version] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    Arc::new(Remote {
        key: *hasher.finalize().as_bytes(),
        kept: kept.clone(),
        file,
    })
}

#[derive(Debug, Clone)]
struct Remote {
    file: PinnedFile,
    key: FileKey,
    kept: KeptRanges,
}

impl Content for Remote {
    fn name(&self) -> &str {
        &self.file.name
    }

    fn num_bytes(&self) -> u64 {
        self.file.num_bytes
    }

    fn read_range(&self, range: Range<u64>) -> io::Result<Bytes> {
        let mut buffer = vec![0; (range.end - range.start) as usize];
        if !self.kept.fill(self.key, &range, &mut buffer).is_empty() {
            let _alone = self.kept.fetching(self.key);
            // Another reader may have fetched it meanwhile.
            for gap in self.kept.fill(self.key, &range, &mut buffer) {
                self.fetch(gap, range.start, &mut buffer)?;
            }
        }
        Ok(buffer.into())
    }

    fn reader(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(ReadAhead {
            remote: self.clone(),
            offset,
            next_bytes: FIRST_READ_BYTES,
            ahead: Bytes::new(),
        }))
    }

    fn has_ranges(&self) -> io::Result<bool> {
        let ask = || network::wait(|| self.file.source.has_ranges())?;
        self.kept.has_ranges(self.key, ask)
    }
}

impl Remote {
    /// Fetches the bytes in `gap` into `buffer`, whose first byte is the one at `start` of the file.
    fn fetch(&self, gap: Range<u64>, start: u64, buffer: &mut [u8]) -> io::Result<()> {
        let least = (gap.start + LEAST_BYTES).min(self.file.num_bytes);
        let end = gap.end.max(least);
        let mut from = gap.start;
        while from < end {
            let piece = from..end.min(from + PIECE_BYTES);
            let bytes = network::wait(|| self.file.source.read(piece.clone()))??;
            if bytes.len() as u64 != piece.end - piece.start {
                let reason = format!("{} bytes of {piece:?} came back", bytes.len());
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
            }
            transfer::note(Arrival::Range {
                file: &self.file.name,
                num_bytes: bytes.len() as u64,
            });
            self.kept.keep(self.key, from, &bytes);
            let wanted = (piece.end.min(gap.end) - from) as usize;
            let place = (from - start) as usize;
            buffer[place..place + wanted].copy_from_slice(&bytes[..wanted]);
            from = piece.end;
        }
        Ok(())
    }
}

/// Reads on from an offset, a large range at a time.
struct ReadAhead {
    remote: Remote,
    /// Where the next range starts.
    offset: u64,
    /// How much the next range holds.
    next_bytes: u64,
    ahead: Bytes,
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ahead.is_empty() {
            let end = (self.offset + self.next_bytes).min(self.remote.file.num_bytes);
            self.next_bytes = (self.next_bytes * 2).min(PIECE_BYTES);
            if self.offset >= end {
                return Ok(0);
            }
            self.ahead = self.remote.read_range(self.offset..end)?;
            self.offset = end;
        }
        let read = self.ahead.len().min(buffer.len());
        self.ahead.copy_to_slice(&mut buffer[..read]);
        Ok(read)
    }
}
