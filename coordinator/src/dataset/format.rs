//! What a format of data files must answer, and how its rows are read.

use std::path::{Path, PathBuf};

use super::fields::{Cell, FieldPath};
use crate::Error;

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

/// Wraps what the file system said of `path`.
pub(super) fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> Error {
    let path = PathBuf::from(path);
    move |source| Error::File {
        path: path.clone(),
        source,
    }
}
