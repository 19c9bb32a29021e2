//! Rows moved and combined: gathered, added to, scaled, chosen between.

use candle_core::{DType, Tensor};

use crate::error::Result;

use super::tensor::{View, by_dtype, for_each_row, tensor};
use super::{Real, RowIndex};

/// Returns rows `indices` of `x`. `[indices, width]`
pub(crate) fn gather(x: &Tensor, indices: &RowIndex) -> Result<Tensor> {
    by_dtype!(x, T => gather_as::<T>(x, indices))
}

fn gather_as<T: Real>(x: &Tensor, indices: &RowIndex) -> Result<Tensor> {
    let (_, width) = x.dims2()?;
    let x = View::<T>::of(x)?;
    let mut out = Vec::with_capacity(indices.len() * width);
    for &index in indices.iter() {
        out.extend_from_slice(&x[index * width..][..width]);
    }
    tensor(out, (indices.len(), width))
}

/// Returns rows `indices` of a table of half precision, in precision `dtype`. `[indices, width]`
pub(crate) fn gather_widened(halves: &Tensor, indices: &RowIndex, dtype: DType) -> Result<Tensor> {
    let indices: Vec<_> = indices.iter().map(|&index| index as u32).collect();
    let indices = Tensor::new(indices, halves.device())?;
    halves.index_select(&indices, 0)?.to_dtype(dtype)
}

/// Returns `a + b` of the same shape.
pub(crate) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    by_dtype!(a, T => combine::<T>(a, b, |a, b| a + b))
}

/// Returns `x` with row `i` of `added` added to row `indices[i]`.
pub(crate) fn add_at(x: &Tensor, added: &Tensor, indices: &RowIndex) -> Result<Tensor> {
    by_dtype!(x, T => add_at_as::<T>(x, added, indices))
}

fn add_at_as<T: Real>(x: &Tensor, added: &Tensor, indices: &RowIndex) -> Result<Tensor> {
    let (_, width) = x.dims2()?;
    let mut out = View::<T>::of(x)?.to_vec();
    let added = View::<T>::of(added)?;
    for (added, &index) in added.chunks_exact(width).zip(indices.iter()) {
        for (out, &a) in out[index * width..][..width].iter_mut().zip(added) {
            *out += a;
        }
    }
    tensor(out, x.shape())
}

/// Returns `a − b` of the same shape.
pub(crate) fn subtract(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    by_dtype!(a, T => combine::<T>(a, b, |a, b| a - b))
}

/// Returns what lies at `alpha` of the straight way from `a`, 0, to `b`, 1: `a + (b − a) · alpha`.
pub(crate) fn at_share_of_way(a: &Tensor, b: &Tensor, alpha: f64) -> Result<Tensor> {
    by_dtype!(a, T => {
        let alpha = <T as candle_core::WithDType>::from_f64(alpha);
        combine::<T>(a, b, |a, b| a + (b - a) * alpha)
    })
}

/// Returns `|x|` of every entry.
pub(crate) fn absolute(x: &Tensor) -> Result<Tensor> {
    x.abs()
}

/// Returns `x` with `number` added to every entry.
pub(crate) fn add_number(x: &Tensor, number: f64) -> Result<Tensor> {
    x + number
}

/// Returns `x` with `number` in every entry.
pub(crate) fn filled(x: &Tensor, number: f64) -> Result<Tensor> {
    x.zeros_like()? + number
}

/// Returns the rows of `x`, each times its factor. `[rows, width]`
pub(crate) fn scale_each(x: &Tensor, factors: &[f64]) -> Result<Tensor> {
    by_dtype!(x, T => scale_each_as::<T>(x, factors))
}

fn scale_each_as<T: Real>(x: &Tensor, factors: &[f64]) -> Result<Tensor> {
    let (_, width) = x.dims2()?;
    let mut out = View::<T>::of(x)?.to_vec();
    for (row, &factor) in out.chunks_exact_mut(width).zip(factors) {
        let factor = T::from_f64(factor);
        for value in row {
            *value *= factor;
        }
    }
    tensor(out, x.shape())
}

/// Returns row `i` of `a` where `is_first[i]`, of `b` elsewhere. `[rows, width]`
pub(crate) fn choose(is_first: &[bool], a: &Tensor, b: &Tensor) -> Result<Tensor> {
    by_dtype!(a, T => choose_as::<T>(is_first, a, b))
}

fn choose_as<T: Real>(is_first: &[bool], a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (_, width) = a.dims2()?;
    let (first, second) = (View::<T>::of(a)?, View::<T>::of(b)?);
    let mut out = Vec::with_capacity(first.len());
    for (row, &is_first) in is_first.iter().enumerate() {
        let from = if is_first { &first } else { &second };
        out.extend_from_slice(&from[row * width..][..width]);
    }
    tensor(out, (is_first.len(), width))
}

/// Returns `a ⊙ b` of the same shape.
pub(crate) fn multiply(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    by_dtype!(a, T => combine::<T>(a, b, |a, b| a * b))
}

/// Returns `x · scale`.
pub(crate) fn scale(x: &Tensor, scale: f64) -> Result<Tensor> {
    x * scale
}

/// Returns `sum + scale · b`, or `scale · b` if there is no sum yet.
pub(crate) fn add_scaled(sum: Option<&Tensor>, b: &Tensor, scale: f64) -> Result<Tensor> {
    by_dtype!(b, T => {
        let scale = <T as candle_core::WithDType>::from_f64(scale);
        match sum {
            Some(sum) => combine::<T>(sum, b, |sum, b| sum + scale * b),
            None => combine::<T>(b, b, |_, b| scale * b),
        }
    })
}

fn combine<T: Real>(a: &Tensor, b: &Tensor, combine: impl Fn(T, T) -> T + Sync) -> Result<Tensor> {
    let (_, width) = a.dims2()?;
    let (left, right) = (View::<T>::of(a)?, View::<T>::of(b)?);
    let mut out = vec![T::zero(); left.len()];
    for_each_row(&mut out, width, |row, out| {
        let range = row * width..(row + 1) * width;
        for ((out, &l), &r) in out.iter_mut().zip(&left[range.clone()]).zip(&right[range]) {
            *out = combine(l, r);
        }
    });
    tensor(out, a.shape())
}
