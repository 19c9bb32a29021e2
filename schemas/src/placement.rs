//! Which slots an attempt writes its rows to: its own slot, or slots below it.
//!
//! An attempt that ends early has only the first rows of its slot. It splits the slot with a
//! tombstone and fills those slots below it whose rows it has; the others stay open. An attempt
//! that has all rows but finds a tombstone does the same.
//!
//! Nobody writes below a slot before the slot's tombstone is known to exist. That is what keeps
//! each row in one object. All callers use the functions below to decide, so that the workers and
//! the simulation of the protocol cannot differ.

use std::ops::Range;

/// What an attempt writes to a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// The slot's rows: the attempt has all of them.
    Rows,
    /// A tombstone: the attempt has some of the slot's rows, and they go to the halves.
    Tombstone,
    /// Nothing: the attempt has none of the slot's rows.
    Nothing,
}

impl Placement {
    /// Returns what an attempt that has finished the rows `done` writes to the slot of `rows`.
    pub fn of(rows: &Range<u64>, done: &Range<u64>) -> Self {
        let common = rows.start.max(done.start)..rows.end.min(done.end);
        if common.is_empty() {
            Self::Nothing
        } else if common == *rows {
            Self::Rows
        } else {
            Self::Tombstone
        }
    }
}

/// Returns the rows of the two halves that a slot of `rows` splits into. If the number of rows is
/// odd, the first half is the smaller one. Returns `None` for a single row, which cannot be split.
pub fn halves(rows: &Range<u64>) -> Option<[Range<u64>; 2]> {
    let middle = rows.start + (rows.end.saturating_sub(rows.start)) / 2;
    (rows.start < middle).then_some([rows.start..middle, middle..rows.end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_done_fill_whole_slots_and_split_others() {
        let done = 0..5;
        assert_eq!(Placement::of(&(0..5), &done), Placement::Rows);
        assert_eq!(Placement::of(&(3..5), &done), Placement::Rows);
        assert_eq!(Placement::of(&(3..6), &done), Placement::Tombstone);
        assert_eq!(Placement::of(&(5..6), &done), Placement::Nothing);
        assert_eq!(Placement::of(&(0..6), &(0..0)), Placement::Nothing);
    }

    #[test]
    fn a_single_row_has_no_halves() {
        assert_eq!(halves(&(4..5)), None);
        assert_eq!(halves(&(4..4)), None);
        assert_eq!(halves(&(4..7)), Some([4..5, 5..7]));
    }
}
