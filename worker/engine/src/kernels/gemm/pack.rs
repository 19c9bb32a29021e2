//! Weights in the order the inner loop reads them.

#![expect(
    unsafe_code,
    reason = "the transposition of rows reads and writes without asking for bounds"
)]

use super::super::Real;
use super::micro::{Instructions, Tile};

/// A `[k, n]` matrix in panels of as many columns as a tile has: panel after panel, each
/// `[k][columns]`, the last one filled up with zeros. Rows `k` of a panel lie one after another, so
/// a range of them is again a matrix.
#[derive(Debug)]
pub(crate) struct Packed<T> {
    pub(super) depth: usize,
    pub(super) columns: usize,
    pub(super) instructions: Instructions,
    pub(super) tile: Tile,
    elements: Vec<T>,
}

impl<T: Real> Packed<T> {
    /// Packs `weight`, stored `[n, k]`, as the factor of `x Wᵀ`.
    pub(crate) fn transposed(weight: &[T], n: usize, k: usize) -> Self {
        assert_eq!(weight.len(), n * k, "a weight of {n} rows of {k}");
        let mut packed = Self::zeros(k, n);
        let width = packed.tile.columns;
        if k > 0 {
            for (panel, rows) in packed
                .elements
                .chunks_exact_mut(k * width)
                .zip(weight.chunks(width * k))
            {
                let rows = StridedRows {
                    numbers: rows,
                    stride: k,
                    count: rows.len() / k,
                    length: k,
                };
                rows.interleave(width, panel);
            }
        }
        packed
    }

    /// Packs the transpose of what is packed here: the factor of `dy W`.
    pub(crate) fn repacked(&self) -> Self {
        let mut packed = Self::zeros(self.columns, self.depth);
        let width = self.tile.columns;
        for (index, panel) in packed
            .elements
            .chunks_exact_mut((self.columns * width).max(1))
            .enumerate()
        {
            let rows = index * width..((index + 1) * width).min(self.depth);
            for (column, out) in panel.chunks_exact_mut(width).enumerate() {
                let source = self.panel(column / width, rows.clone());
                for (out, source) in out.iter_mut().zip(source.chunks_exact(width)) {
                    *out = source[column % width];
                }
            }
        }
        packed
    }

    fn zeros(depth: usize, columns: usize) -> Self {
        let instructions = Instructions::best();
        let tile = instructions.tile::<T>();
        let elements = vec![T::zero(); columns.next_multiple_of(tile.columns) * depth];
        Self {
            depth,
            columns,
            instructions,
            tile,
            elements,
        }
    }

    /// Returns rows `rows` of a panel. `[rows, columns of a tile]`
    pub(super) fn panel(&self, panel: usize, rows: std::ops::Range<usize>) -> &[T] {
        let first = panel * self.depth;
        &self.elements
            [(first + rows.start) * self.tile.columns..(first + rows.end) * self.tile.columns]
    }

    /// Returns the number of panels.
    pub(super) fn num_panels(&self) -> usize {
        self.columns.div_ceil(self.tile.columns)
    }

    /// Returns the number of columns of the product.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }
}

/// Rows of equal length, `stride` numbers from the start of one to that of the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct StridedRows<'a, T> {
    pub(super) numbers: &'a [T],
    pub(super) stride: usize,
    pub(super) count: usize,
    pub(super) length: usize,
}

impl<T: Real> StridedRows<'_, T> {
    /// Writes the rows as columns, `width` apart: entry `k` of row `r` goes to `out[k · width + r]`.
    /// Fewer rows than `width` leave the rest of `out` as it is.
    pub(super) fn interleave(self, width: usize, out: &mut [T]) {
        let Self {
            numbers,
            stride,
            count,
            length,
        } = self;
        if count == 0 || length == 0 {
            return;
        }
        assert!(
            (count - 1) * stride + length <= numbers.len(),
            "{count} rows of {length} do not fit"
        );
        assert!(
            count <= width && length * width <= out.len(),
            "the interleaved rows do not fit"
        );
        let (rows, out) = (numbers.as_ptr(), out.as_mut_ptr());
        let mut first = 0;
        while first < count {
            // SAFETY: rows `first..` up to `count` were asserted to lie in both slices.
            first += unsafe {
                let (rows, out) = (rows.add(first * stride), out.add(first));
                match count - first {
                    8.. => interleave_rows::<T, 8>(rows, stride, length, width, out),
                    6 | 7 => interleave_rows::<T, 6>(rows, stride, length, width, out),
                    4 | 5 => interleave_rows::<T, 4>(rows, stride, length, width, out),
                    2 | 3 => interleave_rows::<T, 2>(rows, stride, length, width, out),
                    _ => interleave_rows::<T, 1>(rows, stride, length, width, out),
                }
            };
        }
    }
}

/// Interleaves `ROWS` rows, eight entries of each at a time, and returns `ROWS`.
///
/// # Safety
///
/// `rows` must have `ROWS` rows of `depth` entries, `stride` apart, and `out` as many columns,
/// `width` apart.
unsafe fn interleave_rows<T: Real, const ROWS: usize>(
    rows: *const T,
    stride: usize,
    depth: usize,
    width: usize,
    out: *mut T,
) -> usize {
    const STEPS: usize = 8;
    let whole = depth / STEPS * STEPS;
    for first in (0..whole).step_by(STEPS) {
        // SAFETY: `first + STEPS <= depth`, within the caller's promise.
        unsafe {
            let block: [[T; STEPS]; ROWS] =
                std::array::from_fn(|row| *rows.add(row * stride + first).cast());
            let columns: [[T; ROWS]; STEPS] =
                std::array::from_fn(|step| std::array::from_fn(|row| block[row][step]));
            for (step, column) in columns.into_iter().enumerate() {
                *out.add((first + step) * width).cast() = column;
            }
        }
    }
    for k in whole..depth {
        for row in 0..ROWS {
            // SAFETY: the caller's promise.
            unsafe { *out.add(k * width + row) = *rows.add(row * stride + k) };
        }
    }
    ROWS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaving_transposes_any_number_of_rows() {
        for (count, depth) in [(1, 1), (3, 8), (5, 17), (7, 16), (12, 9), (16, 40)] {
            let (stride, width) = (depth + 3, count + 2);
            let rows: Vec<f32> = (0..count * stride).map(|index| index as f32).collect();
            let mut out = vec![-1.0; depth * width];
            let strided = StridedRows {
                numbers: &rows,
                stride,
                count,
                length: depth,
            };
            strided.interleave(width, &mut out);
            for (index, &value) in out.iter().enumerate() {
                let (k, row) = (index / width, index % width);
                assert_eq!(
                    value,
                    if row < count {
                        (row * stride + k) as f32
                    } else {
                        -1.0
                    }
                );
            }
        }
    }
}
