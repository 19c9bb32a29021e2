//! Datasets: files into numbered rows, rows into shards, shards into Arrow batches.
//!
//! Rows stream: no file is ever whole in memory, and a shard is read from where it starts. A row
//! that cannot be read is a row that says so; a file that cannot be read is an error at submission.

use std::path::{Path, PathBuf};

mod csv;
mod fields;
mod files;
mod json;
mod lines;
mod parquet;
mod shard;
mod split;
#[cfg(test)]
mod tests;

pub use fields::{Cell, FieldPath};
pub use files::{describe, verify};
pub use shard::{Generated, ShardRows, plan, read_rows};
pub use split::Split;

use crate::Error;

/// Every format a data file can have.
pub const FORMATS: &[&dyn Format] = &[
    &parquet::Parquet,
    &json::JsonLines,
    &csv::Delimited::COMMA,
    &csv::Delimited::TAB,
];

/// A format of data files.
pub trait Format: Sync {
    /// Returns its public name.
    fn name(&self) -> &'static str;

    /// Returns the extensions of its files, without the dot.
    fn extensions(&self) -> &'static [&'static str];

    /// Opens a file at `offset`, which an earlier reader of the same file gave, or at 0. Of each
    /// row, `fields` are read.
    fn open(
        &self,
        path: &Path,
        offset: u64,
        fields: &[FieldPath],
    ) -> Result<Box<dyn RowReader>, Error>;

    /// Counts the rows without looking into them.
    fn count(&self, path: &Path) -> Result<u64, Error>;
}

/// The fields of one row, in the order they were asked for; or why the row cannot be read.
pub type Row = Result<Vec<Cell>, String>;

/// The rows of one file, one after the other.
pub trait RowReader: Send {
    /// Returns where the next row starts: what [`Format::open`] takes.
    fn offset(&self) -> u64;

    /// Returns the next row, or `None` at the end.
    fn next(&mut self) -> Result<Option<Row>, Error>;

    /// Passes over the next row. Returns whether there was one.
    fn skip(&mut self) -> Result<bool, Error>;

    /// Returns the fields that rows so far had, for messages.
    fn columns(&self) -> Vec<String>;
}

/// Returns the format of a file by its extension.
pub fn format_of(path: &Path) -> Result<&'static dyn Format, Error> {
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default()
        .to_ascii_lowercase();
    let format = FORMATS
        .iter()
        .find(|format| format.extensions().contains(&extension.as_str()));
    format.copied().ok_or_else(|| {
        let known: Vec<_> = FORMATS
            .iter()
            .flat_map(|format| format.extensions())
            .map(|extension| format!(".{extension}"))
            .collect();
        Error::Format {
            path: path.to_owned(),
            reason: format!(
                "its extension says no format we read ({}); unpack or rename it",
                known.join(", ")
            ),
        }
    })
}

/// Wraps what the file system said of `path`.
fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> Error {
    let path = PathBuf::from(path);
    move |source| Error::File {
        path: path.clone(),
        source,
    }
}
