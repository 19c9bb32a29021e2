//! The interface of a data file, whatever gives its bytes.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::failure::carried_by;
use crate::Error;

/// The bytes of one data file. They must not change while it is open.
pub trait Content: fmt::Debug + Send + Sync {
    /// Returns the path or URL, for messages.
    fn name(&self) -> &str;

    /// Returns the length in bytes.
    fn num_bytes(&self) -> u64;

    /// Returns the bytes in `range`, which must lie within the file.
    fn read_range(&self, range: Range<u64>) -> io::Result<Bytes>;

    /// Returns a reader of everything from `offset` to the end. It reads large pieces at a time
    /// where small ones would be slow.
    fn reader(&self, offset: u64) -> io::Result<Box<dyn Read + Send>>;

    /// Returns whether a range can be had without everything before it. Some servers send whole
    /// files only.
    fn has_ranges(&self) -> io::Result<bool> {
        Ok(true)
    }
}

/// A file that is shared by the readers of its rows.
pub type SharedContent = Arc<dyn Content>;

/// Returns a function that turns an I/O error into one that names the file.
pub(crate) fn unreadable(content: &SharedContent) -> impl Fn(io::Error) -> Error {
    let path = PathBuf::from(content.name());
    move |source| match carried_by(&source) {
        Some(failure) => Error::Remote(failure),
        None => Error::File {
            path: path.clone(),
            source,
        },
    }
}
