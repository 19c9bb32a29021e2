//! Rows moved and combined in main memory.

use candle_core::DType;

use super::real::Real;
use super::slices::{View, for_each_row, tensor};
use crate::error::Result;
use crate::kernels::row_index::RowIndex;
use crate::kernels::tensor::Tensor;

pub(in crate::kernels) fn gather<T: Real>(x: &Tensor, indices: &RowIndex) -> Result<Tensor> {
    let (_, width) = x.dims2()?;
    let x = View::<T>::of(x)?;
    let mut out = Vec::with_capacity(indices.len() * width);
    for &index in indices.iter() {
        out.extend_from_slice(&x[index * width..][..width]);
    }
    tensor(out, (indices.len(), width))
}

pub(in crate::kernels) fn gather_widened(
    halves: &Tensor,
    indices: &RowIndex,
    dtype: DType,
) -> Result<Tensor> {
    let halves = halves.candle()?;
    let indices: Vec<_> = indices.iter().map(|&index| index as u32).collect();
    let indices = candle_core::Tensor::new(indices, halves.device())?;
    Ok(halves.index_select(&indices, 0)?.to_dtype(dtype)?.into())
}

pub(in crate::kernels) fn add_at<T: Real>(
    x: &Tensor,
    added: &Tensor,
    indices: &RowIndex,
) -> Result<Tensor> {
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

pub(in crate::kernels) fn absolute(x: &Tensor) -> Result<Tensor> {
    Ok(x.candle()?.abs()?.into())
}

pub(in crate::kernels) fn add_number(x: &Tensor, number: f64) -> Result<Tensor> {
    Ok((x.candle()? + number)?.into())
}

pub(in crate::kernels) fn scale(x: &Tensor, scale: f64) -> Result<Tensor> {
    Ok((x.candle()? * scale)?.into())
}

pub(in crate::kernels) fn scale_each<T: Real>(x: &Tensor, factors: &[f64]) -> Result<Tensor> {
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

pub(in crate::kernels) fn choose<T: Real>(
    is_first: &[bool],
    a: &Tensor,
    b: &Tensor,
) -> Result<Tensor> {
    let (_, width) = a.dims2()?;
    let (first, second) = (View::<T>::of(a)?, View::<T>::of(b)?);
    let mut out = Vec::with_capacity(first.len());
    for (row, &is_first) in is_first.iter().enumerate() {
        let from = if is_first { &first } else { &second };
        out.extend_from_slice(&from[row * width..][..width]);
    }
    tensor(out, (is_first.len(), width))
}

/// Returns `combine(a, b)` of every two entries at the same place.
pub(in crate::kernels) fn combine<T: Real>(
    a: &Tensor,
    b: &Tensor,
    combine: impl Fn(T, T) -> T + Sync,
) -> Result<Tensor> {
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
