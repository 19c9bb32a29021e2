//! The interfaces of a data file format and of the reader of its rows.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::field::{Cell, FieldPath};

/// A format of data files.
pub trait Format: Sync {
    /// Returns its name, as shown to users.
    fn name(&self) -> &'static str;

    /// Returns the extensions of its files, without the dot.
    fn extensions(&self) -> &'static [&'static str];

    /// Opens a file to read `fields` of each row, starting at `offset`.
    ///
    /// The offset is 0 or comes from [`RowReader::offset`] of an earlier reader of the same file.
    /// Each format chooses its unit: bytes in text files, rows in Parquet files.
    fn open(
        &self,
        path: &Path,
        offset: u64,
        fields: &[FieldPath],
    ) -> Result<Box<dyn RowReader>, Error>;

    /// Counts the rows. Rows that cannot be read count too, because each of them has a number.
    fn count(&self, path: &Path) -> Result<u64, Error>;
}

/// The requested fields of one row, in the order of the request; or why the row cannot be read.
pub type Row = Result<Vec<Cell>, String>;

/// Reads the rows of one file in order.
pub trait RowReader: Send {
    /// Returns where the next row starts, as an offset for [`Format::open`].
    fn offset(&self) -> u64;

    /// Returns the next row, or `None` at the end. Fails if the file cannot be read any further;
    /// a single bad row is an error inside [`Row`].
    fn next(&mut self) -> Result<Option<Row>, Error>;

    /// Skips the next row. Returns false at the end.
    fn skip(&mut self) -> Result<bool, Error>;

    /// Returns the names of the fields known so far, for error messages.
    fn columns(&self) -> Vec<String>;
}

/// Returns a function that turns an I/O error into one that names `path`.
pub(crate) fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> Error {
    let path = PathBuf::from(path);
    move |source| Error::File {
        path: path.clone(),
        source,
    }
}
