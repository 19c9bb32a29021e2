//! Datasets: reads files as numbered rows, cuts the rows into shards, and reads shards as Arrow
//! batches.
//!
//! Rows are streamed: no file is ever held in memory as a whole, and a shard is read from where it
//! starts in its file. A row that cannot be read becomes a row with an error. A file that cannot be
//! read is an error when the job is submitted.

mod csv;
mod fields;
mod files;
mod format;
mod formats;
mod json;
mod lines;
mod parquet;
mod shard;
mod split;
#[cfg(test)]
mod tests;

pub use fields::{Cell, FieldPath};
pub use files::{describe, verify};
pub use format::{Format, Row, RowReader};
pub use formats::{FORMATS, format_of};
pub use shard::{Generated, ShardRows, plan, read_rows};
pub use split::Split;
