//! How a job's rows are cut into shards. A plan is written once and never changed.
//!
//! Rows are numbered from 0 within the split; the number is the example's id. The planned shards
//! cover the selected rows exactly once, in order. Splitting a shard halves its row range.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::SlotId;
use crate::location::DataFile;
use crate::placement::halves;

/// The shards of a job, in row order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The files of the chosen splits, in the order in which the splits are named and their rows
    /// are read. The digest in the specification is of this list.
    pub files: Vec<DataFile>,
    /// The shards; the shard at index `i` has the slot [`SlotId::of_shard`]`(i)`.
    pub shards: Vec<PlannedShard>,
}

/// One shard: consecutive rows and their estimated cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedShard {
    /// Example ids of the rows; the end is exclusive.
    pub rows: Range<u64>,
    /// Position in the dataset where reading starts.
    pub cursor: Cursor,
    /// Estimated work in tokens.
    pub estimated_tokens: u64,
    /// Digest of the rows as the job reads them. Whoever reads them again compares it.
    pub digest: String,
}

/// A position in a dataset from which rows can be read without reading the rows before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// Index of the file in [`Plan::files`].
    pub file: usize,
    /// Byte offset for line formats, row number for columnar formats.
    pub offset: u64,
}

impl Plan {
    /// Returns the total number of rows of all shards.
    pub fn num_rows(&self) -> u64 {
        self.shards.last().map_or(0, |shard| shard.rows.end)
    }

    /// Returns the rows of `slot`, or `None` if the plan has no such slot.
    ///
    /// The suffix of a slot names the half of its shard that it holds. If the number of rows is
    /// odd, the first half is the smaller one. A single row cannot be split, so deeper slots do not
    /// exist.
    pub fn rows(&self, slot: &SlotId) -> Option<Range<u64>> {
        let mut rows = self.shards.get(slot.shard_index())?.rows.clone();
        for second_half in slot.halves() {
            let [first, second] = halves(&rows)?;
            rows = if second_half { second } else { first };
        }
        Some(rows)
    }

    /// Returns the estimated work of `slot` in tokens: the shard's estimate, scaled by the slot's
    /// share of the rows. Returns 0 if the plan has no such slot.
    pub fn estimated_tokens(&self, slot: &SlotId) -> u64 {
        let Some((rows, shard)) = self.rows(slot).zip(self.shards.get(slot.shard_index())) else {
            return 0;
        };
        let of_shard = (shard.rows.end - shard.rows.start).max(1);
        // The product of two 64-bit numbers needs 128 bits.
        let share = u128::from(shard.estimated_tokens) * u128::from(rows.end - rows.start);
        (share / u128::from(of_shard)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_partition_the_rows_of_their_slot() {
        let shard = PlannedShard {
            rows: 10..17,
            cursor: Cursor { file: 0, offset: 0 },
            estimated_tokens: 700,
            digest: String::new(),
        };
        let plan = Plan {
            files: Vec::new(),
            shards: vec![shard],
        };
        let slot = SlotId::of_shard(0);
        let [first, second] = slot.split();
        assert_eq!(plan.rows(&slot), Some(10..17));
        assert_eq!(plan.rows(&first), Some(10..13));
        assert_eq!(plan.rows(&second), Some(13..17));
        assert_eq!(plan.rows(&second.split()[1]), Some(15..17));
        assert_eq!(plan.rows(&SlotId::of_shard(1)), None);
        assert_eq!(plan.estimated_tokens(&slot), 700);
        assert_eq!(plan.estimated_tokens(&first), 300);
        assert_eq!(plan.estimated_tokens(&second), 400);
        assert_eq!(plan.estimated_tokens(&SlotId::of_shard(1)), 0);
    }

    #[test]
    fn a_single_row_cannot_be_split() {
        let shard = PlannedShard {
            rows: 4..5,
            cursor: Cursor { file: 0, offset: 0 },
            estimated_tokens: 0,
            digest: String::new(),
        };
        let plan = Plan {
            files: Vec::new(),
            shards: vec![shard],
        };
        assert_eq!(plan.rows(&SlotId::of_shard(0).split()[0]), None);
    }
}
