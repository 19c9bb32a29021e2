//! The rows of formats whose decoders give record batches, Arrow and Parquet.
//!
//! An offset in their files is a row number. Decoders check most of what they read, but may panic
//! on damaged bytes; both are the same error here, which names the file.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use whence_schemas::panics;

use super::columnar::{self, Places};
use crate::Error;
use crate::content::{SharedContent, carried_by};
use crate::format::{Row, RowReader};

/// Decodes the batches of one file in order.
pub(super) trait Batches: Send {
    /// Returns the next batch, or `None` at the end.
    fn next(&mut self) -> Result<Option<RecordBatch>, Error>;
}

/// Reads the rows of batches.
pub(super) struct BatchRows<B> {
    batches: B,
    schema: SchemaRef,
    places: Places,
    /// The current batch, and how many of its rows have been read.
    batch: Option<(RecordBatch, usize)>,
    offset: u64,
}

impl<B: Batches> BatchRows<B> {
    /// Reads `places` of the rows of `batches`, which start at the row `offset` of a file with
    /// `schema`.
    pub(super) fn new(batches: B, schema: SchemaRef, places: Places, offset: u64) -> Self {
        Self {
            batches,
            schema,
            places,
            batch: None,
            offset,
        }
    }

    /// Moves to the next row. Returns its index in the current batch, or `None` at the end.
    fn advance(&mut self) -> Result<Option<usize>, Error> {
        loop {
            if let Some((batch, used)) = &mut self.batch
                && *used < batch.num_rows()
            {
                let row = *used;
                *used += 1;
                self.offset += 1;
                return Ok(Some(row));
            }
            match self.batches.next()? {
                Some(batch) => self.batch = Some((batch, 0)),
                None => return Ok(None),
            }
        }
    }
}

impl<B: Batches> RowReader for BatchRows<B> {
    fn offset(&self) -> u64 {
        self.offset
    }

    fn next(&mut self) -> Result<Option<Row>, Error> {
        let Some(row) = self.advance()? else {
            return Ok(None);
        };
        let batch = self.batch.as_ref().map(|(batch, _)| batch);
        Ok(batch.map(|batch| self.places.cells(batch, row)))
    }

    fn skip(&mut self) -> Result<bool, Error> {
        Ok(self.advance()?.is_some())
    }

    fn columns(&self) -> Vec<String> {
        columnar::names(&self.schema)
    }
}

/// Runs a step of the decoder of `format`. Its errors and its panics are damage of the file, unless
/// the file could not be had.
pub(super) fn guarded<T, E: std::error::Error + 'static>(
    content: &SharedContent,
    format: &str,
    read: impl FnOnce() -> Result<T, E>,
) -> Result<T, Error> {
    match panics::caught(read) {
        Ok(read) => read.map_err(|error| {
            let damaged = || damaged(content, format, &error.to_string());
            carried_by(&error).map_or_else(damaged, Error::Remote)
        }),
        Err(panic) => {
            let reason = format!("the reader cannot take it ({panic})");
            Err(damaged(content, format, &reason))
        }
    }
}

/// Returns the error for a file of `format` whose bytes are wrong.
pub(super) fn damaged(content: &SharedContent, format: &str, reason: &str) -> Error {
    Error::Content {
        path: content.name().into(),
        reason: format!("it is not a whole {format} file: {reason}"),
    }
}
