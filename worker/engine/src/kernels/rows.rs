//! Moving rows: gathering, and adding to some of them.

use candle_core::Tensor;

use crate::error::Result;

use super::Real;
use super::tensor::{View, by_dtype, for_each_row, tensor};

/// Returns rows `indices` of `x`. `[indices, width]`
pub(crate) fn gather(x: &Tensor, indices: &[usize]) -> Result<Tensor> {
    by_dtype!(x, T => gather_as::<T>(x, indices))
}

fn gather_as<T: Real>(x: &Tensor, indices: &[usize]) -> Result<Tensor> {
    let (_, width) = x.dims2()?;
    let x = View::<T>::of(x)?;
    let mut out = Vec::with_capacity(indices.len() * width);
    for &index in indices {
        out.extend_from_slice(&x[index * width..][..width]);
    }
    tensor(out, (indices.len(), width))
}

/// Returns `a + b` of the same shape.
pub(crate) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    by_dtype!(a, T => combine::<T>(a, b, |a, b| a + b))
}

/// Returns `x` with row `i` of `added` added to row `indices[i]`.
pub(crate) fn add_at(x: &Tensor, added: &Tensor, indices: &[usize]) -> Result<Tensor> {
    by_dtype!(x, T => add_at_as::<T>(x, added, indices))
}

fn add_at_as<T: Real>(x: &Tensor, added: &Tensor, indices: &[usize]) -> Result<Tensor> {
    let (_, width) = x.dims2()?;
    let mut out = View::<T>::of(x)?.to_vec();
    let added = View::<T>::of(added)?;
    for (added, &index) in added.chunks_exact(width).zip(indices) {
        for (out, &a) in out[index * width..][..width].iter_mut().zip(added) {
            *out += a;
        }
    }
    tensor(out, x.shape())
}

/// Returns `a ⊙ b` of the same shape.
pub(crate) fn multiply(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    by_dtype!(a, T => combine::<T>(a, b, |a, b| a * b))
}

/// Returns `sum + scale · b`, or `scale · b` where there is no sum yet.
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
