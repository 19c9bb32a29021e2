//! Heads inside projections, and results cut into the pieces that threads write.

use std::ops::Range;

use crate::error::Result;
use crate::kernels::attention::trace::Columns;
use crate::kernels::cpu::gemm::Strided;
use crate::kernels::cpu::real::Real;
use crate::kernels::cpu::slices::View;

/// A borrowed [`Columns`].
pub(super) struct HeadColumns<'t, T> {
    elements: View<'t, T>,
    width: usize,
    column: usize,
}

impl<'t, T: Real> HeadColumns<'t, T> {
    pub(super) fn new(columns: &'t Columns) -> Result<Self> {
        let (_, width) = columns.rows.dims2()?;
        Ok(Self {
            elements: View::of(&columns.rows)?,
            width,
            column: columns.column,
        })
    }

    /// Returns head `head` of `rows`. `[rows, dim]`
    pub(super) fn head(&self, dim: usize, head: usize, rows: &Range<usize>) -> Strided<'_, T> {
        // An empty range may start at the end of the rows, where there is no such column.
        let start = (rows.start * self.width + self.column + head * dim).min(self.elements.len());
        Strided {
            elements: &self.elements[start..],
            rows: rows.len(),
            columns: dim,
            row_stride: self.width,
            column_stride: 1,
        }
    }
}

/// Cuts `elements` into consecutive pieces of the given lengths.
pub(super) fn split<T>(
    mut elements: &mut [T],
    lengths: impl Iterator<Item = usize>,
) -> Vec<&mut [T]> {
    lengths
        .map(|length| {
            let (piece, rest) = std::mem::take(&mut elements).split_at_mut(length);
            elements = rest;
            piece
        })
        .collect()
}

/// As [`split`], for pieces that are only read.
pub(super) fn split_ref<T>(mut elements: &[T], lengths: impl Iterator<Item = usize>) -> Vec<&[T]> {
    lengths
        .map(|length| {
            let (piece, rest) = elements.split_at(length);
            elements = rest;
            piece
        })
        .collect()
}
