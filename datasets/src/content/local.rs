//! A file on a local disk.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::{Content, SharedContent};

/// Opens a file. The name in messages is its path.
pub fn local(path: &Path) -> io::Result<SharedContent> {
    named(path, path.display().to_string())
}

/// Opens a file that messages call `name`.
pub(super) fn named(path: &Path, name: String) -> io::Result<SharedContent> {
    let file = File::open(path)?;
    let num_bytes = file.metadata()?.len();
    Ok(Arc::new(Local {
        file: Arc::new(file),
        name,
        num_bytes,
    }))
}

#[derive(Debug)]
struct Local {
    /// One open file for all readers: if another file takes its place on disk, they still read
    /// the bytes that were there when it was opened.
    file: Arc<File>,
    name: String,
    num_bytes: u64,
}

impl Content for Local {
    fn name(&self) -> &str {
        &self.name
    }

    fn num_bytes(&self) -> u64 {
        self.num_bytes
    }

    fn read_range(&self, range: Range<u64>) -> io::Result<Bytes> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.file.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes.into())
    }

    fn reader(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let file = Arc::clone(&self.file);
        Ok(Box::new(From { file, offset }))
    }
}

/// Reads on from an offset. It keeps its own position, because the open file has only one.
struct From {
    file: Arc<File>,
    offset: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
