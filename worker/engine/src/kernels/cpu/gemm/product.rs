//! Products of many rows with a packed weight.
//!
//! The rows of `A` are packed once, in blocks of a depth whose sums stay in registers; then the
//! threads share a grid of row blocks and column panels. A block of `A` waits in the second-level
//! cache while panel after panel of `B` passes through the first.

#![expect(
    unsafe_code,
    reason = "threads write disjoint rectangles of one result"
)]

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::micro::{multiply, prefetch};
use super::operands::{Destination, Factors, Write};
use super::pack::{Packed, StridedRows};
use crate::kernels::cpu::real::Real;
use crate::kernels::cpu::slices::may_parallelize;

/// Most steps of a sum kept in registers: a panel of `B` this deep fits the first-level cache.
const BLOCK_DEPTH: usize = 384;
/// Most rows of `A` that pass one panel: this many of [`BLOCK_DEPTH`] fit the second-level cache.
const BLOCK_ROWS: usize = 144;
/// Most numbers of `A` packed at once: what the last-level cache can keep.
const MAX_PACKED: usize = 4 << 20;
/// Multiplications below which one thread is faster than several.
const MIN_PARALLEL_WORK: usize = 1 << 20;

impl<T: Real> Packed<T> {
    /// Returns `A · B[depth, :]`, where `A` has as many columns as `depth` is long, plus `bias`,
    /// one entry per column, if there is one.
    pub(crate) fn product(&self, a: &[T], depth: Range<usize>, bias: Option<&[T]>) -> Vec<T> {
        assert!(
            depth.end <= self.depth,
            "the factor has {} rows",
            self.depth
        );
        assert!(
            bias.is_none_or(|bias| bias.len() == self.columns),
            "a bias has one entry per column"
        );
        if depth.is_empty() || self.columns == 0 {
            return Vec::new();
        }
        let num_rows = a.len() / depth.len();
        let mut out = Vec::with_capacity(num_rows * self.columns);
        let product = Product {
            a,
            b: self,
            num_rows,
            depth,
            bias,
            out: out.as_mut_ptr(),
        };
        thread_local! {
            /// The packed rows of `A`, in bytes that fit any number; kept, because making it costs
            /// as much as a small product.
            static PACKED_ROWS: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
        }
        PACKED_ROWS.with_borrow_mut(|buffer| {
            let needed = num_rows * product.blocks_at_once() * product.block_depth();
            buffer.resize(buffer.len().max(needed), 0);
            // SAFETY: eight zero bytes are valid numbers of either type, and `u64` is aligned for both.
            let buffer =
                unsafe { std::slice::from_raw_parts_mut(buffer.as_mut_ptr().cast::<T>(), needed) };
            product.compute(buffer);
        });
        // SAFETY: the first block of the depth has replaced every number of every row.
        unsafe { out.set_len(num_rows * self.columns) };
        out
    }
}

/// A product on its way.
struct Product<'a, T> {
    /// `[num_rows, depth]`
    a: &'a [T],
    b: &'a Packed<T>,
    num_rows: usize,
    /// Rows of `b` that take part.
    depth: Range<usize>,
    bias: Option<&'a [T]>,
    /// `[num_rows, columns]`, not initialized before the first block of the depth.
    out: *mut T,
}

// SAFETY: threads write disjoint rectangles of `out`; the rest is shared for reading.
unsafe impl<T: Real> Sync for Product<'_, T> {}

impl<T: Real> Product<'_, T> {
    fn compute(&self, packed: &mut [T]) {
        let is_large = self.num_rows * self.depth.len() * self.b.columns >= MIN_PARALLEL_WORK;
        if is_large && may_parallelize() && rayon::current_num_threads() > 1 {
            // Inside the pool, so that the loops below start on its threads without a detour.
            rayon::scope(|_| self.compute_with(packed, rayon::current_num_threads()));
        } else {
            self.compute_with(packed, 1);
        }
    }

    fn compute_with(&self, packed: &mut [T], threads: usize) {
        let blocks = self.num_depth_blocks();
        for first in (0..blocks).step_by(self.blocks_at_once()) {
            let blocks = first..(first + self.blocks_at_once()).min(blocks);
            self.pack(blocks.clone(), packed, threads);
            self.multiply(blocks, packed, threads);
        }
    }

    fn num_depth_blocks(&self) -> usize {
        self.depth.len().div_ceil(BLOCK_DEPTH)
    }

    fn block_depth(&self) -> usize {
        self.depth.len().div_ceil(self.num_depth_blocks())
    }

    /// Returns the steps of a block, counted from the first that takes part. Nothing but the depth
    /// decides where a sum is cut.
    fn steps(&self, block: usize) -> Range<usize> {
        let length = self.block_depth();
        block * length..((block + 1) * length).min(self.depth.len())
    }

    fn blocks_at_once(&self) -> usize {
        (MAX_PACKED / (self.num_rows * self.block_depth()).max(1)).clamp(1, self.num_depth_blocks())
    }

    fn num_row_blocks(&self) -> usize {
        self.num_rows.div_ceil(BLOCK_ROWS)
    }

    fn rows(&self, block: usize) -> Range<usize> {
        cut(0..self.num_rows, self.num_row_blocks(), block)
    }

    /// Returns the tiles of a block of rows.
    fn tiles(&self, rows: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let (rows, count) = (rows.clone(), rows.len().div_ceil(self.b.tile.rows));
        (0..count).map(move |tile| cut(rows.clone(), count, tile))
    }

    /// Packs `blocks` of the depth of `A`, one after another. A block is packed tile by tile, each
    /// `[steps][rows of the tile]`.
    fn pack(&self, blocks: Range<usize>, packed: &mut [T], threads: usize) {
        let stride = self.depth.len();
        let mut rest = packed;
        let mut parts = Vec::with_capacity(blocks.len() * self.num_row_blocks());
        for block in blocks {
            for rows in (0..self.num_row_blocks()).map(|block| self.rows(block)) {
                let (part, after) = rest.split_at_mut(rows.len() * self.steps(block).len());
                rest = after;
                parts.push((self.steps(block), rows, part));
            }
        }
        let pack = |(steps, rows, part): (Range<usize>, Range<usize>, &mut [T])| {
            for tile in self.tiles(&rows) {
                let out = &mut part[(tile.start - rows.start) * steps.len()..]
                    [..tile.len() * steps.len()];
                let rows = StridedRows {
                    numbers: &self.a[tile.start * stride + steps.start..],
                    stride,
                    count: tile.len(),
                    length: steps.len(),
                };
                rows.interleave(tile.len(), out);
            }
        };
        if threads == 1 {
            parts.into_iter().for_each(pack);
        } else {
            parts.into_par_iter().for_each(pack);
        }
    }

    /// Adds the products of packed `blocks` of the depth to the result.
    fn multiply(&self, blocks: Range<usize>, packed: &[T], threads: usize) {
        let panels = self.b.num_panels();
        if threads == 1 {
            for row_block in 0..self.num_row_blocks() {
                self.multiply_part(&blocks, packed, row_block, 0..panels);
            }
            return;
        }
        // Several parts per thread, so that nobody waits for a thread that is held up.
        let panel_parts = (threads * 4).div_ceil(self.num_row_blocks()).min(panels);
        (0..self.num_row_blocks() * panel_parts)
            .into_par_iter()
            .with_max_len(1)
            .for_each(|part| {
                let (row_block, part) = (part / panel_parts, part % panel_parts);
                self.multiply_part(
                    &blocks,
                    packed,
                    row_block,
                    cut(0..panels, panel_parts, part),
                );
            });
    }

    fn multiply_part(
        &self,
        blocks: &Range<usize>,
        packed: &[T],
        row_block: usize,
        panels: Range<usize>,
    ) {
        let rows = self.rows(row_block);
        let mut widened = Vec::new();
        let mut before = 0;
        for block in blocks.clone() {
            let steps = self.steps(block);
            let a = &packed[before + rows.start * steps.len()..][..rows.len() * steps.len()];
            before += self.num_rows * steps.len();
            for panel in panels.clone() {
                self.multiply_panel(block, a, (&rows, panel), &mut widened);
            }
        }
    }

    /// Multiplies a packed block of `A` with one panel, which is widened into `widened` if it is kept
    /// in half precision.
    fn multiply_panel(
        &self,
        block: usize,
        a: &[T],
        (rows, panel): (&Range<usize>, usize),
        widened: &mut Vec<T>,
    ) {
        let steps = self.steps(block);
        let first_column = panel * self.b.tile.columns;
        let in_b = self.depth.start + steps.start..self.depth.start + steps.end;
        let b = self.b.panel(panel, in_b, widened);
        let write = self.write(block, first_column);
        let mut upcoming = b.as_ptr().wrapping_add(self.b.depth * self.b.tile.columns);
        // The processor prefetches halves by itself: they are read one after another.
        let per_tile = if self.b.is_whole() {
            b.len().div_ceil(rows.len().div_ceil(self.b.tile.rows))
        } else {
            0
        };
        for tile in self.tiles(rows) {
            // Prefetch the next panel while this one is used.
            for line in (0..per_tile).step_by(64 / size_of::<T>()) {
                prefetch(upcoming.wrapping_add(line));
            }
            upcoming = upcoming.wrapping_add(per_tile);
            let a = &a[(tile.start - rows.start) * steps.len()..][..tile.len() * steps.len()];
            let factors = Factors {
                a: a.as_ptr(),
                a_row_stride: 1,
                a_step: tile.len(),
                b: b.as_ptr(),
                b_step: self.b.tile.columns,
                depth: steps.len(),
            };
            // SAFETY: `a` and `b` were cut to as many steps, rows and columns. The tile lies in the
            // result, in the rectangle of this thread; if it is added to, block 0 has written it.
            unsafe {
                let destination = Destination {
                    elements: self.out.add(tile.start * self.b.columns + first_column),
                    stride: self.b.columns,
                    rows: tile.len(),
                    columns: self.b.tile.columns.min(self.b.columns - first_column),
                };
                multiply(self.b.instructions, factors, destination, write);
            }
        }
    }

    /// Returns what becomes of the sums of a block of the depth: the first one starts the result, the
    /// others are added to it.
    fn write(&self, block: usize, first_column: usize) -> Write<T> {
        match self.bias {
            _ if block > 0 => Write::Add(T::one()),
            Some(bias) => Write::Bias(bias[first_column..].as_ptr()),
            None => Write::Replace(T::one()),
        }
    }
}

/// Returns part `part` of `parts` nearly equal ones.
fn cut(range: Range<usize>, parts: usize, part: usize) -> Range<usize> {
    range.start + range.len() * part / parts..range.start + range.len() * (part + 1) / parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::pack::Halves;
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
    fn halves_have_the_bits_of_what_they_are_widened_to() {
        let (m, n, k) = (29, 45, 800);
        let a: Vec<f32> = numbers(m * k, 5).into_iter().map(|v| v as f32).collect();
        let w = numbers(n * k, 6);
        let brain: Vec<_> = w.iter().map(|&v| half::bf16::from_f64(v)).collect();
        let half: Vec<_> = w.iter().map(|&v| half::f16::from_f64(v)).collect();
        let cases = [
            (
                Halves::BF16(&brain),
                brain.iter().map(|v| v.to_f32()).collect::<Vec<_>>(),
            ),
            (
                Halves::F16(&half),
                half.iter().map(|v| v.to_f32()).collect(),
            ),
        ];
        for (halves, wide) in cases {
            let kept = Packed::<f32>::halves_transposed(halves, n, k);
            let widened = Packed::transposed(&wide, n, k);
            assert_eq!(
                kept.product(&a, 0..k, None),
                widened.product(&a, 0..k, None)
            );
            let dy = &a[..m * n];
            assert_eq!(
                kept.repacked().product(dy, 0..n, None),
                widened.repacked().product(dy, 0..n, None)
            );
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
