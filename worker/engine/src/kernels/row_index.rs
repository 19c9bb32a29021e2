//! Which rows of a tensor are meant.
//!
//! The rows of a chunk's cotangents belong to the same rows of the forward pass in nearly every
//! layer. The index is built once per chunk and shared from there on: a clone copies a pointer, and
//! the numbers are copied to a device only once.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use super::device::Device;
use super::device::array::Array;
use crate::error::Result;

/// Row numbers, in the order in which the rows are wanted. A row may be named more than once.
#[derive(Debug, Clone)]
pub(crate) struct RowIndex(Arc<Rows>);

#[derive(Debug)]
struct Rows {
    numbers: Vec<usize>,
    /// The numbers on the device that first asked for them.
    copied: OnceLock<Array>,
}

impl RowIndex {
    /// Returns the numbers on `device`.
    pub(in crate::kernels) fn on(&self, device: &Device) -> Result<Array> {
        let copied = self.0.copied.get();
        if let Some(copied) = copied.filter(|copied| copied.device().is(device)) {
            return Ok(copied.clone());
        }
        let numbers: Vec<_> = self.0.numbers.iter().map(|&row| row as i32).collect();
        let array = Array::from_slice(device, &numbers)?;
        // Another thread may have been first; both copies hold the same numbers.
        let _ = self.0.copied.set(array.clone());
        Ok(array)
    }
}

impl From<Vec<usize>> for RowIndex {
    fn from(numbers: Vec<usize>) -> Self {
        Self(Arc::new(Rows {
            numbers,
            copied: OnceLock::new(),
        }))
    }
}

impl FromIterator<usize> for RowIndex {
    fn from_iter<I: IntoIterator<Item = usize>>(rows: I) -> Self {
        rows.into_iter().collect::<Vec<_>>().into()
    }
}

impl Deref for RowIndex {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0.numbers
    }
}
