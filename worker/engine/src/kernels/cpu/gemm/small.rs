//! Products of strided views, as large as a head of an attention.

#![expect(unsafe_code, reason = "the inner loop writes through a pointer")]

use std::cell::RefCell;

use super::instructions::Instructions;
use super::micro::multiply;
use super::operands::{Destination, Factors, Write};
use super::pack::StridedRows;
use crate::kernels::cpu::real::Real;

/// A matrix inside a slice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strided<'a, T> {
    pub(crate) elements: &'a [T],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<T: Real> Strided<'_, T> {
    /// Returns the transpose.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Returns the columns from `first` on.
    pub(crate) fn columns_from(self, first: usize) -> Self {
        Self {
            elements: &self.elements[first * self.column_stride..],
            columns: self.columns - first,
            ..self
        }
    }

    /// Panics unless every entry lies in the slice.
    fn check(&self) {
        if self.rows > 0 && self.columns > 0 {
            let last = (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride;
            assert!(
                last < self.elements.len(),
                "a view reaches beyond its slice"
            );
        }
    }

    /// Returns where `width` columns from `first` on lie with `padded` entries a row, and how far
    /// apart: where they are, or in `buffer`.
    fn panel(
        &self,
        first: usize,
        width: usize,
        padded: usize,
        buffer: &mut [T],
    ) -> (*const T, usize) {
        if self.rows == 0 {
            return (buffer.as_ptr(), padded);
        }
        let from = &self.elements[first * self.column_stride..];
        if self.column_stride == 1 && width == padded {
            return (from.as_ptr(), self.row_stride);
        }
        if width < padded {
            buffer.fill(T::zero());
        }
        if self.row_stride == 1 {
            let columns = StridedRows {
                numbers: from,
                stride: self.column_stride,
                count: width,
                length: self.rows,
            };
            columns.interleave(padded, buffer);
        } else {
            for (row, out) in buffer.chunks_exact_mut(padded).enumerate() {
                let from = from[row * self.row_stride..]
                    .iter()
                    .step_by(self.column_stride);
                for (out, &from) in out[..width].iter_mut().zip(from) {
                    *out = from;
                }
            }
        }
        (buffer.as_ptr(), padded)
    }
}

/// Whether a product replaces the result or is added to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteMode {
    /// It replaces it.
    Replace,
    /// It is added.
    Add,
}

/// Writes `scale · A · B` to, or adds it to, rows of `c` that start `c_stride` apart.
pub(crate) fn small_product<T: Real>(
    scale: T,
    a: Strided<'_, T>,
    b: Strided<'_, T>,
    (c, c_stride): (&mut [T], usize),
    mode: WriteMode,
) {
    assert_eq!(a.columns, b.rows, "inner dimensions of a product");
    let (rows, columns) = (a.rows, b.columns);
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(
        columns <= c_stride || rows == 1,
        "rows of the result overlap"
    );
    assert!(
        (rows - 1) * c_stride + columns <= c.len(),
        "the result does not fit"
    );
    a.check();
    b.check();
    let instructions = Instructions::best();
    let tile = instructions.tile::<T>();
    let write = match mode {
        WriteMode::Replace => Write::Replace(scale),
        WriteMode::Add => Write::Add(scale),
    };
    with_panel_buffer(tile.columns * b.rows, |buffer| {
        for first_column in (0..columns).step_by(tile.columns) {
            let width = tile.columns.min(columns - first_column);
            let panel = b.panel(first_column, width, tile.columns, buffer);
            let destination = Destination {
                elements: c[first_column..].as_mut_ptr(),
                stride: c_stride,
                rows,
                columns: width,
            };
            // SAFETY: the checks above say that both views and every row of the result lie in their
            // slices; a panel has as many rows as `B`, each as wide as a tile.
            unsafe { multiply_panel(instructions, a, panel, destination, write) };
        }
    });
}

/// Multiplies `A` with a panel of `B`, tile by tile; `panel` is where it lies and how far apart its
/// rows are.
///
/// # Safety
///
/// Every entry of `A` must lie in its slice. The panel must have as many rows as `A` has columns, each
/// as wide as a tile, and every row of the destination must be valid for writes and nobody else's.
unsafe fn multiply_panel<T: Real>(
    instructions: Instructions,
    a: Strided<'_, T>,
    (b, b_step): (*const T, usize),
    destination: Destination<T>,
    write: Write<T>,
) {
    let rows = a.rows;
    let tiles = rows.div_ceil(instructions.tile::<T>().rows);
    for tile in 0..tiles {
        let (first_row, end) = (rows * tile / tiles, rows * (tile + 1) / tiles);
        let factors = Factors {
            a: a.elements.as_ptr().wrapping_add(first_row * a.row_stride),
            a_row_stride: a.row_stride,
            a_step: a.column_stride,
            b,
            b_step,
            depth: a.columns,
        };
        let row = destination.stride * first_row;
        let destination = Destination {
            elements: destination.elements.wrapping_add(row),
            rows: end - first_row,
            ..destination
        };
        // SAFETY: the caller's promise.
        unsafe { multiply(instructions, factors, destination, write) };
    }
}

/// Calls `body` with a buffer of `len` numbers, whatever they are, that this thread keeps.
fn with_panel_buffer<T: Real>(len: usize, body: impl FnOnce(&mut [T])) {
    thread_local! {
        /// A packed panel; `u64`, because its zero bytes are a number of either type.
        static PANEL: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    }
    PANEL.with_borrow_mut(|buffer| {
        buffer.resize(buffer.len().max(len), 0);
        // SAFETY: eight zero bytes are valid numbers of either type, and `u64` is aligned for both.
        let buffer =
            unsafe { std::slice::from_raw_parts_mut(buffer.as_mut_ptr().cast::<T>(), len) };
        body(buffer);
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn view(elements: &[f64], rows: usize, columns: usize) -> Strided<'_, f64> {
        Strided {
            elements,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    proptest! {
        #[test]
        fn products_of_views_equal_plain_sums(m in 1..30_usize, n in 1..40_usize, k in 1..50_usize, add: bool) {
            let a: Vec<f64> = (0..m * k).map(|i| (i as f64 * 0.7).sin()).collect();
            let b: Vec<f64> = (0..n * k).map(|i| (i as f64 * 1.3).cos()).collect();
            let stride = n + 3;
            let mut c = vec![1.0; m * stride];
            let into = if add { WriteMode::Add } else { WriteMode::Replace };
            small_product(0.5, view(&a, m, k), view(&b, n, k).transposed(), (&mut c, stride), into);
            for row in 0..m {
                for column in 0..stride {
                    let sum: f64 = (0..k).filter(|_| column < n).map(|p| a[row * k + p] * b[column * k + p]).sum();
                    let before = f64::from(u8::from(add || column >= n));
                    prop_assert!((c[row * stride + column] - before - 0.5 * sum).abs() < 1e-12);
                }
            }
        }

        #[test]
        fn a_row_has_the_same_bits_in_every_company(m in 2..30_usize, n in 1..40_usize, k in 1..50_usize) {
            let a: Vec<f64> = (0..m * k).map(|i| (i as f64 * 0.7).sin()).collect();
            let b: Vec<f64> = (0..n * k).map(|i| (i as f64 * 1.3).cos()).collect();
            let mut together = vec![0.0; m * n];
            small_product(0.3, view(&a, m, k), view(&b, k, n), (&mut together, n), WriteMode::Replace);
            let mut alone = vec![0.0; n];
            small_product(0.3, view(&a[(m - 1) * k..], 1, k), view(&b, k, n), (&mut alone, n), WriteMode::Replace);
            prop_assert_eq!(&together[(m - 1) * n..], &alone[..]);
        }
    }
}
