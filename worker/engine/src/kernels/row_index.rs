//! Which rows of a tensor are meant.
//!
//! The rows of a chunk's cotangents belong to the same rows of the forward pass in nearly every
//! layer. The index is built once per chunk and shared from there on: a clone copies a pointer, and
//! a device has to upload the numbers only once.

use std::ops::Deref;
use std::sync::Arc;

/// Row numbers, in the order in which the rows are wanted. A row may be named more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowIndex(Arc<[usize]>);

impl From<Vec<usize>> for RowIndex {
    fn from(rows: Vec<usize>) -> Self {
        Self(rows.into())
    }
}

impl FromIterator<usize> for RowIndex {
    fn from_iter<I: IntoIterator<Item = usize>>(rows: I) -> Self {
        Self(rows.into_iter().collect())
    }
}

impl Deref for RowIndex {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0
    }
}
