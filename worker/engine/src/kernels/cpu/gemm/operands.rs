//! What the inner loop multiplies, and where its sums go: pointers, because threads write disjoint
//! rectangles of one result.

use crate::kernels::cpu::real::Real;

/// One tile's share of the factors: `depth` steps of a column of `A` and a row of `B`.
///
/// Entry `(row, k)` of `A` lies at `a + row · a_row_stride + k · a_step`, that of row `k` of `B`, as
/// long as the tile is wide, at `b + k · b_step`.
#[derive(Clone, Copy)]
pub(crate) struct Factors<T> {
    pub(crate) a: *const T,
    pub(crate) a_row_stride: usize,
    pub(crate) a_step: usize,
    pub(crate) b: *const T,
    pub(crate) b_step: usize,
    pub(crate) depth: usize,
}

impl<T> Factors<T> {
    /// Reads the entries as another type, which must be the same one.
    pub(super) fn cast<U>(self) -> Factors<U> {
        let Self {
            a,
            a_row_stride,
            a_step,
            b,
            b_step,
            depth,
        } = self;
        Factors {
            a: a.cast(),
            a_row_stride,
            a_step,
            b: b.cast(),
            b_step,
            depth,
        }
    }
}

/// What becomes of the sums of a tile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Write<T> {
    /// `C = scale · sums`, whatever was there before; it may be uninitialized.
    Replace(T),
    /// `C = C + scale · sums`.
    Add(T),
    /// `C = bias + sums`, where the pointer is to one entry per column.
    Bias(*const T),
}

impl<T: Real> Write<T> {
    /// Writes entries as another type, which must be the same one.
    pub(super) fn cast<U: Real>(self) -> Write<U> {
        match self {
            Self::Replace(scale) => Write::Replace(U::from_f64(scale.to_f64())),
            Self::Add(scale) => Write::Add(U::from_f64(scale.to_f64())),
            Self::Bias(bias) => Write::Bias(bias.cast()),
        }
    }
}

/// Where a tile's sums go: `rows` rows of `columns` numbers, `stride` apart, from `elements` on.
/// A pointer, because the rows between may belong to other threads.
#[derive(Clone, Copy)]
pub(crate) struct Destination<T> {
    pub(crate) elements: *mut T,
    pub(crate) stride: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl<T> Destination<T> {
    /// Takes the entries for another type, which must be the same one.
    pub(super) fn cast<U>(self) -> Destination<U> {
        let Self {
            elements,
            stride,
            rows,
            columns,
        } = self;
        Destination {
            elements: elements.cast(),
            stride,
            rows,
            columns,
        }
    }
}
