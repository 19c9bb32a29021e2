//! Datasets: files into numbered rows, rows into shards, shards into Arrow batches.
//!
//! Rows stream: no file is ever whole in memory, and a shard is read from where it starts. A row
//! that cannot be read is a row that says so; a file that cannot be read is an error at submission.

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
