//! Counts the rows that pass through a model, which is what a computation costs.

use std::iter::Sum;
use std::ops::Sub;
use std::sync::atomic::{AtomicU64, Ordering};

/// Rows that went through the sublayers of a stack since it was loaded. The counters are statistics:
/// nothing that is computed depends on them.
#[derive(Debug, Default)]
pub(super) struct RowCounters {
    forward: AtomicU64,
    backward: AtomicU64,
}

impl RowCounters {
    /// Counts the rows of a forward pass.
    pub(super) fn add_forward(&self, rows: usize) {
        self.forward.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// Counts the cotangent rows of a backward pass through one sublayer.
    pub(super) fn add_backward(&self, rows: usize) {
        self.backward.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// Returns the counts. Cotangents gain rows on their way down, so backward rows are the mean over
    /// the sublayers.
    pub(super) fn read(&self, num_sublayers: usize) -> RowCounts {
        RowCounts {
            forward: self.forward.load(Ordering::Relaxed),
            backward: self.backward.load(Ordering::Relaxed) / (num_sublayers.max(1) as u64),
        }
    }
}

/// Rows that went through a model: token positions of forward passes, and cotangent rows of backward
/// passes, those of encoder and decoder together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// Token positions of forward passes.
    pub forward: u64,
    /// Cotangent rows of backward passes: for each explained token, one per position that it depends
    /// on.
    pub backward: u64,
}

impl Sum for RowCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, own| Self {
            forward: sum.forward + own.forward,
            backward: sum.backward + own.backward,
        })
    }
}

impl Sub for RowCounts {
    type Output = Self;

    /// Returns what was counted since `earlier`.
    fn sub(self, earlier: Self) -> Self {
        Self {
            forward: self.forward - earlier.forward,
            backward: self.backward - earlier.backward,
        }
    }
}
