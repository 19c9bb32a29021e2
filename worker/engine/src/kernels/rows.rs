//! Rows moved and combined: gathered, added to, scaled, chosen between.

use candle_core::{DType, WithDType};

use super::cpu::{self, by_dtype};
use super::row_index::RowIndex;
use super::tensor::Tensor;
use crate::error::Result;

/// Returns rows `indices` of `x`. `[indices, width]`
pub(crate) fn gather(x: &Tensor, indices: &RowIndex) -> Result<Tensor> {
    by_dtype!(x, T => cpu::rows::gather::<T>(x, indices))
}

/// Returns rows `indices` of a table of half precision, in precision `dtype`. `[indices, width]`
pub(crate) fn gather_widened(halves: &Tensor, indices: &RowIndex, dtype: DType) -> Result<Tensor> {
    cpu::rows::gather_widened(halves, indices, dtype)
}

/// Returns `a + b` of the same shape.
pub(crate) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    by_dtype!(a, T => cpu::rows::combine::<T>(a, b, |a, b| a + b))
}

/// Returns `x` with row `i` of `added` added to row `indices[i]`.
pub(crate) fn add_at(x: &Tensor, added: &Tensor, indices: &RowIndex) -> Result<Tensor> {
    by_dtype!(x, T => cpu::rows::add_at::<T>(x, added, indices))
}

/// Returns `a − b` of the same shape.
pub(crate) fn subtract(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    by_dtype!(a, T => cpu::rows::combine::<T>(a, b, |a, b| a - b))
}

/// Returns what lies at `alpha` of the straight way from `a`, 0, to `b`, 1: `a + (b − a) · alpha`.
pub(crate) fn at_share_of_way(a: &Tensor, b: &Tensor, alpha: f64) -> Result<Tensor> {
    by_dtype!(a, T => {
        let alpha = <T as WithDType>::from_f64(alpha);
        cpu::rows::combine::<T>(a, b, |a, b| a + (b - a) * alpha)
    })
}

/// Returns `|x|` of every entry.
pub(crate) fn absolute(x: &Tensor) -> Result<Tensor> {
    cpu::rows::absolute(x)
}

/// Returns `x` with `number` added to every entry.
pub(crate) fn add_number(x: &Tensor, number: f64) -> Result<Tensor> {
    cpu::rows::add_number(x, number)
}

/// Returns `x` with `number` in every entry.
pub(crate) fn filled(x: &Tensor, number: f64) -> Result<Tensor> {
    add_number(&x.zeros_like()?, number)
}

/// Returns the rows of `x`, each times its factor. `[rows, width]`
pub(crate) fn scale_each(x: &Tensor, factors: &[f64]) -> Result<Tensor> {
    by_dtype!(x, T => cpu::rows::scale_each::<T>(x, factors))
}

/// Returns row `i` of `a` where `is_first[i]`, of `b` elsewhere. `[rows, width]`
pub(crate) fn choose(is_first: &[bool], a: &Tensor, b: &Tensor) -> Result<Tensor> {
    by_dtype!(a, T => cpu::rows::choose::<T>(is_first, a, b))
}

/// Returns `a ⊙ b` of the same shape.
pub(crate) fn multiply(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    by_dtype!(a, T => cpu::rows::combine::<T>(a, b, |a, b| a * b))
}

/// Returns `x · scale`.
pub(crate) fn scale(x: &Tensor, scale: f64) -> Result<Tensor> {
    cpu::rows::scale(x, scale)
}

/// Returns `sum + scale · b`, or `scale · b` if there is no sum yet.
pub(crate) fn add_scaled(sum: Option<&Tensor>, b: &Tensor, scale: f64) -> Result<Tensor> {
    by_dtype!(b, T => {
        let scale = <T as WithDType>::from_f64(scale);
        match sum {
            Some(sum) => cpu::rows::combine::<T>(sum, b, |sum, b| sum + scale * b),
            None => cpu::rows::combine::<T>(b, b, |_, b| scale * b),
        }
    })
}
