//! The bytes of one data file, wherever they are: on a local disk, in an object store, in an archive.
//!
//! A format reads a [`Content`] by ranges or straight on from an offset, and never asks where it
//! comes from. All calls block, so they are made on a thread that may block.
//!
//! * [`local`] opens a file on disk.
//! * [`remote`] reads an object by ranges over the network.
//! * [`Copies`] unpacks compressed files, and decodes those that are not UTF-8, once, into a cache
//!   folder.
//! * [`members`] lists the files in a zip archive.

mod compression;
mod copies;
mod encoding;
mod eviction;
mod local;
mod positioned;
mod remote;
#[cfg(test)]
mod tests;
mod zip;

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::Error;

pub use copies::Copies;
pub use local::local;
pub use remote::{ObjectRange, RangeSource, remote};
pub use zip::members;

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
}

/// A file that is shared by the readers of its rows.
pub type SharedContent = Arc<dyn Content>;

/// Returns a function that turns an I/O error into one that names the file.
pub(crate) fn unreadable(content: &SharedContent) -> impl Fn(io::Error) -> Error {
    let path = PathBuf::from(content.name());
    move |source| Error::File {
        path: path.clone(),
        source,
    }
}
