//! Products of strided views, as large as a head of an attention.

#![expect(unsafe_code, reason = "the inner loop writes through a pointer")]

use std::cell::RefCell;

use super::super::Real;
use super::micro::{Destination, Instructions, Tile, Write, multiply};
use super::pack::pack_rows;

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

    #[inline(always)]
    fn get(&self, row: usize, column: usize) -> T {
        self.elements[row * self.row_stride + column * self.column_stride]
    }
}

/// Whether a product replaces what stands in its place or is added to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Into {
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
    into: Into,
) {
    assert_eq!(a.columns, b.rows, "inner dimensions of a product");
    let (rows, columns, depth) = (a.rows, b.columns, a.columns);
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(columns <= c_stride || rows == 1, "rows of the result overlap");
    assert!((rows - 1) * c_stride + columns <= c.len(), "the result does not fit");
    thread_local! {
        /// Both factors packed; `u64`, because its zero bytes are a number of either type.
        static PACKED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    }
    let instructions = Instructions::best();
    let tile = instructions.tile::<T>();
    PACKED.with_borrow_mut(|buffer| {
        let (a_len, b_len) = (rows.next_multiple_of(tile.rows) * depth, columns.next_multiple_of(tile.columns) * depth);
        buffer.resize(buffer.len().max(a_len + b_len), 0);
        // SAFETY: eight zero bytes are valid numbers of either type, and `u64` is aligned for both.
        let buffer = unsafe { std::slice::from_raw_parts_mut(buffer.as_mut_ptr().cast::<T>(), a_len + b_len) };
        let (packed_a, packed_b) = buffer.split_at_mut(a_len);
        pack_rows(tile.rows, rows, depth, packed_a, |row, k| a.get(row, k));
        pack_rows(tile.columns, columns, depth, packed_b, |column, k| b.get(k, column));
        let write = match into {
            Into::Replace => Write::Replace(scale),
            Into::Add => Write::Add(scale),
        };
        for (row, a) in packed_a.chunks_exact(tile.rows * depth.max(1)).enumerate() {
            for (column, b) in packed_b.chunks_exact(tile.columns * depth.max(1)).enumerate() {
                let Tile { rows: height, columns: width } = tile;
                let destination = Destination {
                    elements: c[row * height * c_stride + column * width..].as_mut_ptr(),
                    stride: c_stride,
                    rows: height.min(rows - row * height),
                    columns: width.min(columns - column * width),
                };
                // SAFETY: the assertions above say that every row of the result lies in `c`.
                unsafe { multiply(instructions, a, b, destination, write) };
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn view(elements: &[f64], rows: usize, columns: usize) -> Strided<'_, f64> {
        Strided { elements, rows, columns, row_stride: columns, column_stride: 1 }
    }

    proptest! {
        #[test]
        fn products_of_views_equal_plain_sums(m in 1..30_usize, n in 1..40_usize, k in 1..50_usize, add: bool) {
            let a: Vec<f64> = (0..m * k).map(|i| (i as f64 * 0.7).sin()).collect();
            let b: Vec<f64> = (0..n * k).map(|i| (i as f64 * 1.3).cos()).collect();
            let stride = n + 3;
            let mut c = vec![1.0; m * stride];
            let into = if add { Into::Add } else { Into::Replace };
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
            small_product(0.3, view(&a, m, k), view(&b, k, n), (&mut together, n), Into::Replace);
            let mut alone = vec![0.0; n];
            small_product(0.3, view(&a[(m - 1) * k..], 1, k), view(&b, k, n), (&mut alone, n), Into::Replace);
            prop_assert_eq!(&together[(m - 1) * n..], &alone[..]);
        }
    }
}
