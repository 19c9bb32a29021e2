//! Cuts a dataset's rows into shards, and reads a shard's rows as Arrow batches.
//!
//! Planning is one pass over the selected rows. It estimates each row's work, starts a new shard
//! when one is full, and notes where in the file each shard starts. A shard can then be read
//! without reading what comes before it.

mod batch;
mod digest;
mod fields;
mod files;
mod planner;
mod shard_rows;
#[cfg(test)]
mod tests;
mod verified;

pub use planner::{Generated, plan};
pub use shard_rows::{ShardRows, read_rows};
