//! Access to the lists of a batch of slots by name.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float32Array, Int32Array, ListArray, RecordBatch, StructArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{Float32Type, Int32Type};
use arrow::error::ArrowError;

/// Returns the error that a column is missing or has the wrong type.
pub(super) fn wrong(name: &str) -> ArrowError {
    ArrowError::SchemaError(format!(
        "column `{name}` does not hold what the attribution table has there"
    ))
}

/// Returns the column `name` of a batch.
pub(super) fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, ArrowError> {
    batch.column_by_name(name).ok_or_else(|| wrong(name))
}

/// Returns the column `name` of a batch as lists.
pub(super) fn lists<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ListArray, ArrowError> {
    column(batch, name)?
        .as_list_opt()
        .ok_or_else(|| wrong(name))
}

/// A column with a list of structs per example: `steps` or `sequence_scores`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elements<'a> {
    lists: &'a ListArray,
    /// The structs of all examples, one after the other.
    pub(super) all: &'a StructArray,
}

impl<'a> Elements<'a> {
    /// Returns the elements of the column `name`.
    pub(super) fn new(batch: &'a RecordBatch, name: &str) -> Result<Self, ArrowError> {
        let lists = lists(batch, name)?;
        let all = lists.values().as_struct_opt().ok_or_else(|| wrong(name))?;
        Ok(Self { lists, all })
    }

    /// Returns the field `name` of all elements.
    pub(super) fn field(&self, name: &str) -> Result<&'a ArrayRef, ArrowError> {
        self.all.column_by_name(name).ok_or_else(|| wrong(name))
    }

    /// Returns which elements belong to the example at `row`.
    pub(super) fn of(&self, row: usize) -> Range<usize> {
        span(self.lists, row)
    }

    /// Returns the field `name` as lists of scores.
    pub(super) fn scores(&self, name: &str) -> Result<ScoreLists<'a>, ArrowError> {
        let lists: &ListArray = self.field(name)?.as_list_opt().ok_or_else(|| wrong(name))?;
        let values: Option<&Float32Array> = lists.values().as_primitive_opt::<Float32Type>();
        let values = values.ok_or_else(|| wrong(name))?.values();
        Ok(ScoreLists { lists, values })
    }
}

/// One list of scores per step.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScoreLists<'a> {
    lists: &'a ListArray,
    values: &'a [f32],
}

impl<'a> ScoreLists<'a> {
    /// Returns the scores of the step at `index`; none if it has no such list.
    pub(super) fn of(&self, index: usize) -> &'a [f32] {
        &self.values[span(self.lists, index)]
    }
}

/// Returns which values belong to the list at `row`; none if the list is null.
pub(super) fn span(lists: &ListArray, row: usize) -> Range<usize> {
    if lists.is_null(row) {
        return 0..0;
    }
    let offsets = lists.value_offsets();
    offsets[row] as usize..offsets[row + 1] as usize
}

/// Returns the field `name` of `places`; null where a token has no place.
pub(super) fn bound(places: &StructArray, name: &str) -> Result<ArrayRef, ArrowError> {
    let field = places.column_by_name(name).ok_or_else(|| wrong(name))?;
    let field: &Int32Array = field
        .as_primitive_opt::<Int32Type>()
        .ok_or_else(|| wrong(name))?;
    let nulls = NullBuffer::union(places.nulls(), field.nulls());
    Ok(Arc::new(Int32Array::new(field.values().clone(), nulls)))
}
