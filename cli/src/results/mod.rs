//! Reads the tables that jobs wrote, and files of attributions the same way.
//!
//! Slots are read one at a time, so memory is bounded by the largest slot, however large the job
//! is. Of a file, memory holds a few examples.

mod job;
mod root;
mod rows;
mod source;

pub use job::{Results, SlotRows};
pub(crate) use root::{get, jobs, open_root};
pub use rows::Rows;
pub use source::Source;
