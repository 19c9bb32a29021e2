//! The bytes of one data file, wherever they are: on a local disk, in an object store, in an archive.
//!
//! A format reads a [`Content`] by ranges or straight on from an offset, and never asks where it
//! comes from. All calls block, so they are made on a thread that may block.
//!
//! * [`local()`] opens a file on disk.
//! * [`remote()`] reads an object by ranges over the network.
//! * [`Copies`] unpacks compressed files, and decodes those that are not UTF-8, once, into a cache
//!   folder.
//! * [`members`] lists the files in a zip archive.

mod compression;
mod copies;
mod encoding;
mod eviction;
mod file;
mod local;
mod positioned;
mod remote;
#[cfg(test)]
mod tests;
mod zip;

pub use copies::Copies;
pub(crate) use file::unreadable;
pub use file::{Content, SharedContent};
pub use local::local;
pub use remote::{ObjectRange, RangeSource, remote};
pub use zip::members;
