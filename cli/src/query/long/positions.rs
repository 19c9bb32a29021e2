//! Positions in the lists of an example: the tokens that are there, and their order by score.

use arrow::array::{ArrayRef, AsArray, Int32Array, ListArray, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::error::ArrowError;

use super::nested::{bound, lists, span, wrong};

/// Sorts the positions of `values` by descending absolute value; the earlier one wins a tie. NaN comes
/// last.
pub(super) fn strength_order(values: &[f32], order: &mut Vec<u32>) {
    let strength = |position: &u32| strength(values[*position as usize]);
    order.clear();
    order.extend(0..values.len() as u32);
    order.sort_unstable_by(|a, b| strength(b).total_cmp(&strength(a)).then(a.cmp(b)));
}

/// Finds the positions of the `most` largest absolute values, in the order of [`strength_order`].
///
/// Takes one pass: nearly every value is smaller than those that were kept before it.
pub(super) fn strongest(values: &[f32], most: usize, order: &mut Vec<u32>) {
    order.clear();
    for (position, value) in values.iter().enumerate() {
        let strength = strength(*value);
        let is_weaker = |kept: &u32| strength <= self::strength(values[*kept as usize]);
        if order.len() == most && order.last().is_none_or(is_weaker) {
            continue;
        }
        order.truncate(most - 1);
        let place = order.partition_point(is_weaker);
        order.insert(place, position as u32);
    }
}

/// Returns the absolute value, or less than any if it is NaN.
fn strength(value: f32) -> f32 {
    if value.is_nan() { -1.0 } else { value.abs() }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_strongest_are_the_first_of_all(
            values in prop::collection::vec(
                prop_oneof![Just(f32::NAN), Just(0.5), Just(-0.5), Just(-0.0), -1.0_f32..1.0], 0..20
            ),
            most in 0_usize..5,
        ) {
            let (mut all, mut some) = (Vec::new(), Vec::new());
            strength_order(&values, &mut all);
            strongest(&values, most, &mut some);
            prop_assert_eq!(&some, &all[..most.min(all.len())]);
        }
    }
}
