//! Weights packed for the inner loop, and products with them.

#![expect(unsafe_code, reason = "threads write disjoint rectangles of one result")]

use std::cell::RefCell;
use std::ops::Range;

use super::super::Real;
use super::super::tensor::may_parallelise;
use super::micro::{Destination, Instructions, Tile, Write, multiply};

/// Length of a sum kept in registers: a panel of `B` this long fits the first-level cache.
const BLOCK_DEPTH: usize = 384;
/// Rows of `A` packed at once: this many times [`BLOCK_DEPTH`] fit the second-level cache.
const BLOCK_ROWS: usize = 96;
/// Multiplications below which one thread is faster than several.
const MIN_PARALLEL_WORK: usize = 1 << 20;

/// A `[k, n]` matrix in panels of as many columns as a tile has: panel after panel, each `[k][columns]`.
#[derive(Debug)]
pub(crate) struct Packed<T> {
    depth: usize,
    columns: usize,
    instructions: Instructions,
    tile: Tile,
    elements: Vec<T>,
}

impl<T: Real> Packed<T> {
    /// Packs `weight`, stored `[n, k]`, as the factor of `x Wᵀ`.
    pub(crate) fn transposed(weight: &[T], n: usize, k: usize) -> Self {
        Self::pack(k, n, |row, column| weight[column * k + row])
    }

    /// Packs the transpose of what is packed here: the factor of `dy W`.
    pub(crate) fn repacked(&self) -> Self {
        Self::pack(self.columns, self.depth, |row, column| self.get(column, row))
    }

    fn pack(depth: usize, columns: usize, element: impl Fn(usize, usize) -> T) -> Self {
        let instructions = Instructions::best();
        let tile = instructions.tile::<T>();
        let mut elements = Vec::with_capacity(columns.div_ceil(tile.columns) * tile.columns * depth);
        for first in (0..columns).step_by(tile.columns) {
            for row in 0..depth {
                let in_panel = first..first + tile.columns;
                elements.extend(in_panel.map(|c| if c < columns { element(row, c) } else { T::zero() }));
            }
        }
        Self { depth, columns, instructions, tile, elements }
    }

    fn get(&self, row: usize, column: usize) -> T {
        let panel = column / self.tile.columns;
        self.elements[(panel * self.depth + row) * self.tile.columns + column % self.tile.columns]
    }

    /// Returns the number of columns of the product.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Returns `A · B[rows, :]`, where `A` has as many columns as `rows` is long. Added to `bias`,
    /// one entry a column, where there is one.
    pub(crate) fn product(&self, a: &[T], rows: Range<usize>, bias: Option<&[T]>) -> Vec<T> {
        assert!(rows.end <= self.depth, "the factor has {} rows", self.depth);
        let num_rows = if rows.is_empty() { 0 } else { a.len() / rows.len() };
        let mut out = match bias {
            Some(bias) => bias.repeat(num_rows),
            None => vec![T::zero(); num_rows * self.columns],
        };
        let a = Left { elements: &a[..num_rows * rows.len()], columns: rows.len(), first_depth: rows.start };
        let result = ResultPointer(out.as_mut_ptr());
        let whole = Rectangle { rows: 0..num_rows, panels: 0..self.num_panels() };
        // SAFETY: `out` has `num_rows` rows of `self.columns` numbers and outlives the calls; the
        // parts of a grid are disjoint rectangles of it.
        match self.grid(num_rows, a.elements.len()) {
            None => unsafe { self.compute(&a, &whole, &result) },
            Some(parts) => rayon::scope(|scope| {
                for part in &parts {
                    let (a, result) = (&a, &result);
                    scope.spawn(move |_| unsafe { self.compute(a, part, result) });
                }
            }),
        }
        out
    }

    fn num_panels(&self) -> usize {
        self.columns.div_ceil(self.tile.columns)
    }

    /// Returns how the threads share the product, or `None` where one does it alone.
    fn grid(&self, num_rows: usize, a_len: usize) -> Option<Vec<Rectangle>> {
        let threads = rayon::current_num_threads();
        if threads == 1 || !may_parallelise() || a_len * self.columns < MIN_PARALLEL_WORK {
            return None;
        }
        // Several parts a thread, so that one that is held up is not waited for; rows first, because
        // a thread packs its rows for all its columns.
        let row_parts = (num_rows / BLOCK_ROWS).clamp(1, threads * 3);
        let panel_parts =
            if row_parts >= threads * 2 { 1 } else { (threads * 4).div_ceil(row_parts).min(self.num_panels()) };
        let cut = |total: usize, parts: usize, part: usize| total * part / parts..total * (part + 1) / parts;
        let mut grid = Vec::with_capacity(row_parts * panel_parts);
        for row_part in 0..row_parts {
            for panel_part in 0..panel_parts {
                grid.push(Rectangle {
                    rows: cut(num_rows, row_parts, row_part),
                    panels: cut(self.num_panels(), panel_parts, panel_part),
                });
            }
        }
        Some(grid)
    }

    /// Adds the products of `part` to the result.
    ///
    /// # Safety
    ///
    /// `result` must point to as many rows of `self.columns` numbers as `a` has, and nobody else may
    /// use those of `part`.
    unsafe fn compute(&self, a: &Left<'_, T>, part: &Rectangle, result: &ResultPointer<T>) {
        thread_local! {
            /// The packed rows of `A`, in bytes that fit any number; kept, because making it costs
            /// as much as a small product.
            static PACKED_ROWS: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
        }
        PACKED_ROWS.with_borrow_mut(|buffer| {
            let needed = BLOCK_ROWS.next_multiple_of(self.tile.rows) * BLOCK_DEPTH;
            buffer.resize(buffer.len().max(needed), 0);
            // SAFETY: eight zero bytes are valid numbers of either type, and `u64` is aligned for both.
            let buffer = unsafe { std::slice::from_raw_parts_mut(buffer.as_mut_ptr().cast::<T>(), needed) };
            for first_row in part.rows.clone().step_by(BLOCK_ROWS) {
                let rows = first_row..(first_row + BLOCK_ROWS).min(part.rows.end);
                for first in (0..a.columns).step_by(BLOCK_DEPTH) {
                    let depth = first..(first + BLOCK_DEPTH).min(a.columns);
                    pack_rows(self.tile.rows, rows.len(), depth.len(), buffer, |row, k| {
                        a.elements[(rows.start + row) * a.columns + depth.start + k]
                    });
                    // SAFETY: `rows` and the panels of `part` lie in `part`.
                    unsafe { self.multiply_block(buffer, a.first_depth, &rows, &depth, &part.panels, result) };
                }
            }
        });
    }

    /// Multiplies packed rows of `A` with every panel.
    ///
    /// # Safety
    ///
    /// As for [`Self::compute`], for `rows` and `panels`.
    unsafe fn multiply_block(
        &self,
        packed_rows: &[T],
        first_depth: usize,
        rows: &Range<usize>,
        depth: &Range<usize>,
        panels: &Range<usize>,
        result: &ResultPointer<T>,
    ) {
        let Tile { rows: tile_rows, columns: tile_columns } = self.tile;
        for panel in panels.clone() {
            let first = (panel * self.depth + first_depth + depth.start) * tile_columns;
            let b = &self.elements[first..first + depth.len() * tile_columns];
            for (tile, first_row) in rows.clone().step_by(tile_rows).enumerate() {
                let a = &packed_rows[tile * tile_rows * depth.len()..][..tile_rows * depth.len()];
                // SAFETY: the row and the column lie in the result, as the caller promised.
                let elements = unsafe { result.0.add(first_row * self.columns + panel * tile_columns) };
                let destination = Destination {
                    elements,
                    stride: self.columns,
                    rows: tile_rows.min(rows.end - first_row),
                    columns: tile_columns.min(self.columns - panel * tile_columns),
                };
                // SAFETY: the destination lies in the rectangle that is this thread's.
                unsafe { multiply(self.instructions, a, b, destination, Write::Add(T::one())) };
            }
        }
    }
}

/// The left factor: contiguous rows that meet rows `first_depth..` of the packed one.
struct Left<'a, T> {
    elements: &'a [T],
    columns: usize,
    first_depth: usize,
}

/// Part of a result: rows, and panels of columns.
struct Rectangle {
    rows: Range<usize>,
    panels: Range<usize>,
}

/// Where a product goes; threads write disjoint parts of it.
struct ResultPointer<T>(*mut T);

// SAFETY: the pointer is used only for rectangles that belong to one thread each.
unsafe impl<T: Send> Sync for ResultPointer<T> {}

/// Packs `rows` rows, `depth` numbers of each, into tiles of `[depth][tile_rows]`. Rows the last
/// tile lacks are left as they are: their sums are never written.
pub(super) fn pack_rows<T: Real>(
    tile_rows: usize,
    rows: usize,
    depth: usize,
    out: &mut [T],
    element: impl Fn(usize, usize) -> T,
) {
    for (tile, first) in (0..rows).step_by(tile_rows).enumerate() {
        let tile = &mut out[tile * tile_rows * depth..][..tile_rows * depth];
        let height = tile_rows.min(rows - first);
        for row in 0..height {
            for k in 0..depth {
                tile[k * tile_rows + row] = element(first + row, k);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers(len: usize, seed: u64) -> Vec<f64> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
        };
        (0..len).map(|_| next()).collect()
    }

    fn plain(a: &[f64], w: &[f64], m: usize, n: usize, k: usize) -> Vec<f64> {
        let dot = |i: usize, j: usize| (0..k).map(|p| a[i * k + p] * w[j * k + p]).sum::<f64>();
        (0..m * n).map(|index| dot(index / n, index % n)).collect()
    }

    proptest! {
        #[test]
        fn products_equal_plain_sums(m in 0..40_usize, n in 1..70_usize, k in 1..500_usize, seed: u64) {
            let (a, w) = (numbers(m * k, seed), numbers(n * k, seed ^ 1));
            let expected = plain(&a, &w, m, n, k);
            let double = Packed::transposed(&w, n, k);
            for (out, expected) in double.product(&a, 0..k, None).iter().zip(&expected) {
                prop_assert!((out - expected).abs() < 1e-12);
            }
            let single = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<_>>();
            let product = Packed::transposed(&single(&w), n, k).product(&single(&a), 0..k, None);
            for (out, expected) in product.iter().zip(&expected) {
                prop_assert!((f64::from(*out) - expected).abs() < 1e-4);
            }
        }

        #[test]
        fn a_row_has_the_same_bits_in_every_company(m in 1..300_usize, n in 1..70_usize, k in 1..900_usize, seed: u64) {
            let single = |values: Vec<f64>| values.iter().map(|&v| v as f32).collect::<Vec<_>>();
            let (a, w) = (single(numbers(m * k, seed)), single(numbers(n * k, seed ^ 1)));
            let packed = Packed::transposed(&w, n, k);
            let together = packed.product(&a, 0..k, None);
            for row in [0, m / 3, m - 1] {
                let alone = packed.product(&a[row * k..][..k], 0..k, None);
                prop_assert_eq!(&together[row * n..][..n], &alone[..]);
            }
        }

        #[test]
        fn a_part_of_the_factor_is_a_factor(n in 1..40_usize, k in 2..60_usize, seed: u64) {
            let (w, split) = (numbers(n * k, seed), 1 + seed as usize % (k - 1));
            let a = numbers(3 * (k - split), seed ^ 2);
            let bias = numbers(n, seed ^ 3);
            let product = Packed::transposed(&w, n, k).product(&a, split..k, Some(&bias));
            let part: Vec<f64> = w.chunks_exact(k).flat_map(|row| row[split..].to_vec()).collect();
            for (index, expected) in plain(&a, &part, 3, n, k - split).iter().enumerate() {
                prop_assert!((product[index] - expected - bias[index % n]).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn repacking_transposes() {
        let (n, k) = (5, 19);
        let w = numbers(n * k, 7);
        let packed = Packed::transposed(&w, n, k).repacked();
        let dy = numbers(2 * n, 8);
        let product = packed.product(&dy, 0..n, None);
        for (index, value) in product.iter().enumerate() {
            let (row, column) = (index / k, index % k);
            let expected: f64 = (0..n).map(|j| dy[row * n + j] * w[j * k + column]).sum();
            assert!((value - expected).abs() < 1e-14);
        }
    }
}
