//! Sequences of unequal length, one after another in the rows of a tensor.
//!
//! Nothing is padded: a batch has exactly the rows its sequences have, and what one sequence holds
//! can never reach another's numbers.

use std::ops::Range;

/// Where each sequence of a batch lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequences {
    /// Sequence `i` has rows `offsets[i]..offsets[i + 1]`.
    offsets: Vec<usize>,
}

impl Sequences {
    /// Lays sequences of the given lengths one after another.
    pub fn from_lengths(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut offsets = vec![0];
        let mut end = 0;
        for length in lengths {
            end += length;
            offsets.push(end);
        }
        Self { offsets }
    }

    /// Returns the number of sequences.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Returns whether there is no sequence.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the rows of one sequence.
    pub fn rows(&self, sequence: usize) -> Range<usize> {
        self.offsets[sequence]..self.offsets[sequence + 1]
    }

    /// Returns the rows of every sequence, in order.
    pub fn iter(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.offsets.windows(2).map(|ends| ends[0]..ends[1])
    }

    /// Returns the number of rows of all sequences.
    pub fn num_rows(&self) -> usize {
        *self
            .offsets
            .last()
            .expect("there is an offset before the first sequence")
    }

    /// Returns the length of every sequence, in order.
    pub fn lengths(&self) -> impl Iterator<Item = usize> + '_ {
        self.iter().map(|rows| rows.len())
    }
}

/// The first `len` tokens of a sequence of an earlier pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachedPrefix {
    /// Index of the sequence.
    pub sequence: usize,
    /// How many tokens of it are kept.
    pub len: usize,
}
