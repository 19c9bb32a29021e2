//! The bytes of one data file, wherever they are: on a local disk, in an object store, in an archive.
//!
//! A format reads a [`Content`] by ranges or straight on from an offset, and never asks where it
//! comes from. All calls block, so they are made on a thread that may block.
//!
//! * [`local()`] opens a file on disk, [`memory()`] one that is in memory.
//! * [`remote()`] reads a file by ranges over the network: from a web server, from an object store,
//!   from the Hub. [`KeptRanges`] keeps what was read.
//! * [`Copies`] unpacks compressed files, and decodes those that are not UTF-8, once, into a cache
//!   folder.
//! * [`members`] lists the files in a zip archive.

mod file;
mod local;
mod memory;

mod compression;
mod copies;
mod encoding;
mod eviction;
mod positioned;
mod zip;

mod failure;
mod hub_file;
mod kept;
mod network;
mod object;
mod remote;
mod ring;
mod transfer;
mod version;
mod web;
mod web_answer;

#[cfg(test)]
mod tests;

pub(crate) use compression::is_packed;
pub use copies::Copies;
pub use failure::RemoteFailure;
pub(crate) use failure::{carried_by, carry};
pub(crate) use file::unreadable;
pub use file::{Content, SharedContent};
pub use kept::KeptRanges;
pub use local::local;
pub use memory::memory;
pub(crate) use network::wait;
pub(crate) use object::{StoredObject, explain_store};
pub use remote::{PinnedFile, RangeSource, remote};
pub(crate) use transfer::note;
pub use transfer::{Arrival, Listening, OnArrival, listen};
pub(crate) use version::Version;
pub(crate) use web::{WebFacts, WebFile, describe};
pub(crate) use web_answer::web_client;
pub use zip::members;
