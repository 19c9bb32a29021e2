//! A file that is in memory.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::{Content, SharedContent};

/// Returns `bytes` as a file that messages call `name`.
pub fn memory(bytes: Bytes, name: &str) -> SharedContent {
    Arc::new(Memory {
        bytes,
        name: name.to_owned(),
    })
}

#[derive(Debug)]
struct Memory {
    bytes: Bytes,
    name: String,
}

impl Content for Memory {
    fn name(&self) -> &str {
        &self.name
    }

    fn num_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_range(&self, range: Range<u64>) -> io::Result<Bytes> {
        if range.end > self.num_bytes() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.bytes.slice(range.start as usize..range.end as usize))
    }

    fn reader(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let start = (offset as usize).min(self.bytes.len());
        Ok(Box::new(self.bytes.slice(start..).reader()))
    }
}
