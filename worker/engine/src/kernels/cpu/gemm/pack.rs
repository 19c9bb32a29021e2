//! Weights in the order in which the inner loop reads them. Weights of half precision stay so and are
//! widened panel by panel where they are used; the product has the bits of the widened weight's.

#![expect(
    unsafe_code,
    reason = "the transposition of rows reads and writes without asking for bounds"
)]

use std::ops::Range;

use half::{bf16, f16};

use super::instructions::{Instructions, Tile};
use crate::kernels::cpu::real::Real;

/// A `[k, n]` matrix in panels of as many columns as a tile has: panel after panel, each
/// `[k][columns]`, the last one filled up with zeros. Rows `k` of a panel lie one after another, so
/// a range of them is again a matrix.
#[derive(Debug)]
pub(crate) struct Packed<T> {
    pub(super) depth: usize,
    pub(super) columns: usize,
    pub(super) instructions: Instructions,
    pub(super) tile: Tile,
    elements: Elements<T>,
}

/// Numbers as they are kept.
#[derive(Debug)]
enum Elements<T> {
    Whole(Vec<T>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
}

/// A weight of half precision, stored `[n, k]`.
#[derive(Clone, Copy)]
pub(crate) enum Halves<'a> {
    F16(&'a [f16]),
    BF16(&'a [bf16]),
}

impl<T: Real> Packed<T> {
    /// Packs `weight`, stored `[n, k]`, as the factor of `x Wᵀ`.
    pub(crate) fn transposed(weight: &[T], n: usize, k: usize) -> Self {
        Self::pack(k, n, |width| {
            Elements::Whole(interleaved(weight, T::zero(), (n, k), width))
        })
    }

    /// Packs a weight of half precision as the factor of `x Wᵀ`, without widening it.
    pub(crate) fn halves_transposed(weight: Halves<'_>, n: usize, k: usize) -> Self {
        Self::pack(k, n, |width| match weight {
            Halves::F16(weight) => Elements::F16(interleaved(weight, f16::ZERO, (n, k), width)),
            Halves::BF16(weight) => Elements::BF16(interleaved(weight, bf16::ZERO, (n, k), width)),
        })
    }

    /// Packs the transpose of what is packed here: the factor of `dy W`.
    pub(crate) fn repacked(&self) -> Self {
        let shape = (self.depth, self.columns);
        Self::pack(self.columns, self.depth, |width| match &self.elements {
            Elements::Whole(elements) => Elements::Whole(turned(elements, T::zero(), shape, width)),
            Elements::F16(elements) => Elements::F16(turned(elements, f16::ZERO, shape, width)),
            Elements::BF16(elements) => Elements::BF16(turned(elements, bf16::ZERO, shape, width)),
        })
    }

    /// Wraps a factor whose elements `elements(width)` makes for panels of that width.
    fn pack(depth: usize, columns: usize, elements: impl FnOnce(usize) -> Elements<T>) -> Self {
        let instructions = Instructions::best();
        let tile = instructions.tile::<T>();
        Self {
            depth,
            columns,
            instructions,
            tile,
            elements: elements(tile.columns),
        }
    }

    /// Returns rows `rows` of a panel, widened into `scratch` if they are kept in half precision.
    /// `[rows, columns of a tile]`
    pub(super) fn panel<'p>(
        &'p self,
        panel: usize,
        rows: Range<usize>,
        scratch: &'p mut Vec<T>,
    ) -> &'p [T] {
        let first = panel * self.depth;
        let width = self.tile.columns;
        let range = (first + rows.start) * width..(first + rows.end) * width;
        match &self.elements {
            Elements::Whole(elements) => &elements[range],
            Elements::F16(elements) => {
                scratch.resize(range.len(), T::zero());
                T::widen_f16(&elements[range], scratch);
                scratch
            }
            Elements::BF16(elements) => {
                scratch.resize(range.len(), T::zero());
                T::widen_bf16(&elements[range], scratch);
                scratch
            }
        }
    }

    /// Returns whether panels are read where they are kept, without being widened.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.elements, Elements::Whole(_))
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

/// Packs `weight`, `[n, k]`, into panels `width` wide: `[panel][k][width]`.
fn interleaved<E: Copy>(weight: &[E], zero: E, (n, k): (usize, usize), width: usize) -> Vec<E> {
    assert_eq!(weight.len(), n * k, "a weight of {n} rows of {k}");
    let mut elements = vec![zero; n.next_multiple_of(width) * k];
    if k == 0 {
        return elements;
    }
    let panels = elements.chunks_exact_mut(k * width);
    for (panel, rows) in panels.zip(weight.chunks(width * k)) {
        let rows = StridedRows {
            numbers: rows,
            stride: k,
            count: rows.len() / k,
            length: k,
        };
        rows.interleave(width, panel);
    }
    elements
}

/// Packs the transpose of a packed `[depth, columns]` factor, panels of both `width` wide.
fn turned<E: Copy>(
    packed: &[E],
    zero: E,
    (depth, columns): (usize, usize),
    width: usize,
) -> Vec<E> {
    let mut elements = vec![zero; depth.next_multiple_of(width) * columns];
    let panels = elements.chunks_exact_mut((columns * width).max(1));
    for (index, panel) in panels.enumerate() {
        let rows = index * width..((index + 1) * width).min(depth);
        for (column, out) in panel.chunks_exact_mut(width).enumerate() {
            let first = column / width * depth;
            let source = &packed[(first + rows.start) * width..(first + rows.end) * width];
            for (out, source) in out.iter_mut().zip(source.chunks_exact(width)) {
                *out = source[column % width];
            }
        }
    }
    elements
}

/// Rows of equal length, `stride` numbers from the start of one to that of the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct StridedRows<'a, T> {
    pub(super) numbers: &'a [T],
    pub(super) stride: usize,
    pub(super) count: usize,
    pub(super) length: usize,
}

impl<T: Copy> StridedRows<'_, T> {
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
unsafe fn interleave_rows<T: Copy, const ROWS: usize>(
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
