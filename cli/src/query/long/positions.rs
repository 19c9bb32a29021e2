//! Positions in the lists of an example: the tokens that are there, and their order by score.

use arrow::array::{ArrayRef, AsArray, Int32Array, ListArray, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::error::ArrowError;

use super::nested::{bound, lists, span, wrong};

/// Sorts the positions of `values` by descending absolute value; the earlier one wins a tie. NaN comes
/// last.
pub(super) fn strength_order(values: &[f32], order: &mut Vec<u32>) {
    let strength = |position: &u32| {
        let value = values[*position as usize].abs();
        if value.is_nan() { -1.0 } else { value }
    };
    order.clear();
    order.extend(0..values.len() as u32);
    order.sort_unstable_by(|a, b| strength(b).total_cmp(&strength(a)).then(a.cmp(b)));
}

/// One token per row: the one at its position in its example's list.
pub(super) struct Tokens<'a> {
    pub(super) slots: &'a RecordBatch,
    /// Index of each row's example.
    pub(super) examples: &'a UInt32Array,
    /// Position of each row's token in the list.
    pub(super) positions: &'a Int32Array,
}

impl Tokens<'_> {
    /// Returns the values of the list `name`, such as the tokens' texts.
    pub(super) fn values(&self, name: &str) -> Result<ArrayRef, ArrowError> {
        let lists = lists(self.slots, name)?;
        take(lists.values(), &self.indices(lists), None)
    }

    /// Returns the field `field` of the places in the list `name`; null where a token has none.
    pub(super) fn places(&self, name: &str, field: &str) -> Result<ArrayRef, ArrowError> {
        let lists = lists(self.slots, name)?;
        let places = lists.values().as_struct_opt().ok_or_else(|| wrong(name))?;
        take(&bound(places, field)?, &self.indices(lists), None)
    }

    /// Returns the index of each row's token; null if the list is too short.
    fn indices(&self, lists: &ListArray) -> UInt32Array {
        let rows = self.examples.values().iter().zip(self.positions.values());
        UInt32Array::from_iter(rows.map(|(example, position)| {
            let span = span(lists, *example as usize);
            let index = span.start + *position as usize;
            (index < span.end).then_some(index as u32)
        }))
    }
}
