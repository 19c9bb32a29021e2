//! Objects that are read by ranges over the network.
//!
//! Readers of rows block, while network clients are asynchronous: each read hands its request to
//! a runtime and waits for it. It must therefore not be called on a thread of that runtime.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;

use super::{Content, SharedContent};

/// Bytes asked for at first when an object is read straight on. Whoever only looks at the start of a
/// file gets no more than this.
const FIRST_READ_BYTES: u64 = 128 << 10;
/// Bytes asked for at a time later, after doubling: large enough that the round trip hardly counts,
/// small enough that a few readers do not fill the memory.
const READ_AHEAD_BYTES: u64 = 8 << 20;

/// Something that gives any range of an object's bytes.
#[async_trait]
pub trait RangeSource: fmt::Debug + Send + Sync + 'static {
    /// Returns the bytes in `range`: all of them, or an error.
    async fn read(&self, range: Range<u64>) -> io::Result<Bytes>;
}

/// An object in an object store.
#[derive(Debug)]
pub struct ObjectRange {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The object in it.
    pub path: Path,
}

#[async_trait]
impl RangeSource for ObjectRange {
    async fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        Ok(self.store.get_range(&self.path, range).await?)
    }
}

/// Returns the object that `source` gives: `num_bytes` long, called `name` in messages. Requests
/// run on `runtime`.
pub fn remote(
    source: impl RangeSource,
    name: String,
    num_bytes: u64,
    runtime: Handle,
) -> SharedContent {
    Arc::new(Remote {
        source: Arc::new(source),
        name,
        num_bytes,
        runtime,
    })
}

#[derive(Debug, Clone)]
struct Remote {
    source: Arc<dyn RangeSource>,
    name: String,
    num_bytes: u64,
    runtime: Handle,
}

impl Content for Remote {
    fn name(&self) -> &str {
        &self.name
    }

    fn num_bytes(&self) -> u64 {
        self.num_bytes
    }

    fn read_range(&self, range: Range<u64>) -> io::Result<Bytes> {
        let expected = range.end - range.start;
        let bytes = self.runtime.block_on(self.source.read(range))?;
        if bytes.len() as u64 != expected {
            let reason = format!("{} of {expected} bytes came back", bytes.len());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
        }
        Ok(bytes)
    }

    fn reader(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(ReadAhead {
            remote: self.clone(),
            offset,
            next_bytes: FIRST_READ_BYTES,
            ahead: Bytes::new(),
        }))
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
            let end = (self.offset + self.next_bytes).min(self.remote.num_bytes);
            self.next_bytes = (self.next_bytes * 2).min(READ_AHEAD_BYTES);
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
