//! Which slots an attempt writes its rows to: its own slot, or slots below it.
//!
//! An attempt may have only some rows of its slot: it had to end early, or some rows need a larger
//! worker. It splits the slot with a tombstone and fills those slots below it whose rows it has; the
//! others stay open. An attempt that has all rows but finds a tombstone does the same.
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
    /// Returns what an attempt writes to the slot of `rows`. `is_done` says whether it has a row.
    pub fn of(rows: &Range<u64>, is_done: impl Fn(u64) -> bool) -> Self {
        let (mut some, mut all) = (false, true);
        for row in rows.clone() {
            let is_done = is_done(row);
            some |= is_done;
            all &= is_done;
        }
        match (some, all) {
            (false, _) => Self::Nothing,
            (true, true) => Self::Rows,
            (true, false) => Self::Tombstone,
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
        let first_five = |row| row < 5;
        assert_eq!(Placement::of(&(0..5), first_five), Placement::Rows);
        assert_eq!(Placement::of(&(3..5), first_five), Placement::Rows);
        assert_eq!(Placement::of(&(3..6), first_five), Placement::Tombstone);
        assert_eq!(Placement::of(&(5..6), first_five), Placement::Nothing);
        assert_eq!(Placement::of(&(0..6), |_| false), Placement::Nothing);
        assert_eq!(Placement::of(&(0..6), |row| row != 2), Placement::Tombstone);
    }

    #[test]
    fn a_single_row_has_no_halves() {
        assert_eq!(halves(&(4..5)), None);
        assert_eq!(halves(&(4..4)), None);
        assert_eq!(halves(&(4..7)), Some([4..5, 5..7]));
    }
}
