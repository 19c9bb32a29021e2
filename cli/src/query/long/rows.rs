//! Builds a batch of a long table from the indices of what its rows repeat.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, RecordBatch, RecordBatchOptions, StringViewArray, StructArray, UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::nested::column;

/// What each row of a long batch repeats.
pub(super) struct LongRows<'a> {
    /// The slots.
    pub(super) slots: &'a RecordBatch,
    /// Index of each row's example.
    pub(super) examples: &'a UInt32Array,
    /// The structs of the steps or sequence scores, and the index of each row's one.
    pub(super) elements: Option<(&'a StructArray, &'a UInt32Array)>,
}

impl LongRows<'_> {
    /// Builds the columns of `schema`. `own` returns those that are not a repetition, by name; the
    /// others come from the row's struct, or else from its example.
    pub(super) fn build(
        &self,
        schema: &SchemaRef,
        own: impl Fn(&str) -> Result<Option<ArrayRef>, ArrowError>,
    ) -> Result<RecordBatch, ArrowError> {
        let columns = schema.fields().iter().map(|field| {
            let name = field.name();
            match own(name)? {
                Some(array) => Ok(array),
                None => self.repeated(name),
            }
        });
        let columns = columns.collect::<Result<Vec<_>, ArrowError>>()?;
        // A query that only counts rows asks for no column.
        let options = RecordBatchOptions::new().with_row_count(Some(self.examples.len()));
        RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
    }

    fn repeated(&self, name: &str) -> Result<ArrayRef, ArrowError> {
        if let Some((structs, indices)) = self.elements
            && let Some(field) = structs.column_by_name(name)
        {
            return take(field, indices, None);
        }
        take(column(self.slots, name)?, self.examples, None)
    }
}

/// Returns a column that has the same text in all rows.
pub(super) fn constant(text: &str, rows: usize) -> ArrayRef {
    Arc::new(StringViewArray::from_iter_values(std::iter::repeat_n(
        text, rows,
    )))
}
