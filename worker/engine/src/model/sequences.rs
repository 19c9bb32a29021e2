//! Sequences of different lengths, one after another in the rows of a tensor.
//!
//! Nothing is padded. A batch has exactly the rows of its sequences, so the contents of one
//! sequence can never affect the numbers of another.

use std::ops::Range;

/// Where the rows of each sequence of a batch are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequences {
    /// The rows of sequence `i` are `offsets[i]..offsets[i + 1]`.
    offsets: Vec<usize>,
}

impl Sequences {
    /// Places sequences of the given lengths one after another.
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

    /// Returns whether there are no sequences.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the row range of one sequence.
    pub fn rows(&self, sequence: usize) -> Range<usize> {
        self.offsets[sequence]..self.offsets[sequence + 1]
    }

    /// Returns the row range of every sequence, in order.
    pub fn iter(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.offsets.windows(2).map(|ends| ends[0]..ends[1])
    }

    /// Returns the total number of rows.
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

/// The first `len` tokens of a sequence of an earlier pass, whose keys and values are reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachedPrefix {
    /// Index of the sequence in the earlier pass.
    pub sequence: usize,
    /// How many tokens of the sequence are reused.
    pub len: usize,
}
