//! The interfaces of a data file format and of the reader of its rows.

use std::fmt;

use crate::Error;
use crate::content::SharedContent;
use crate::field::{Cell, FieldPath};

/// A format of data files, with its options.
pub trait Format: fmt::Debug + Send + Sync {
    /// Opens a file to read `fields` of each row, starting at `offset`.
    ///
    /// The offset is 0 or comes from [`RowReader::offset`] of an earlier reader of the same file.
    /// Each format chooses its unit: bytes in text files, rows in Parquet files.
    fn open(
        &self,
        content: &SharedContent,
        offset: u64,
        fields: &[FieldPath],
    ) -> Result<Box<dyn RowReader>, Error>;

    /// Counts the rows. Rows that cannot be read count too, because each of them has a number.
    ///
    /// Passes over every row, which a format that stores the number does not have to do.
    fn count(&self, content: &SharedContent) -> Result<u64, Error> {
        let mut rows = self.open(content, 0, &[])?;
        let mut count = 0;
        while rows.skip()? {
            count += 1;
        }
        Ok(count)
    }
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
