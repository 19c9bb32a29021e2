//! The door between tensors and main memory: nobody outside the kernels sees a tensor's elements.
//!
//! What is computed elsewhere becomes a tensor here: numbers read from a checkpoint, noise, the
//! slopes of a step function. What the host has to know comes out here: scores, the logits of a
//! step. On a device each call is a copy over the bus, so calls stand at the two ends of a pass and
//! never inside a layer.

use candle_core::{DType, Device, Shape, WithDType};
use rayon::prelude::*;

use super::cpu::slices::{View, tensor};
use super::cpu::{Real, by_dtype};
use super::device;
use super::tensor::Tensor;
use crate::error::Result;

/// Where candle's own readers put what they read, and where its own models compute.
pub(crate) const MEMORY: Device = Device::Cpu;

/// Makes a tensor of `values`, in the precision they are given in.
pub(crate) fn upload<T: WithDType>(values: Vec<T>, shape: impl Into<Shape>) -> Result<Tensor> {
    candle_core::Tensor::from_vec(values, shape.into(), &MEMORY).map(Tensor::from)
}

/// Makes a tensor of precision `dtype` of `values`.
pub(crate) fn upload_as(values: Vec<f64>, shape: impl Into<Shape>, dtype: DType) -> Result<Tensor> {
    upload(values, shape)?.to_dtype(dtype)
}

/// Makes a tensor of zeros.
pub(crate) fn zeros(shape: impl Into<Shape>, dtype: DType) -> Result<Tensor> {
    candle_core::Tensor::zeros(shape, dtype, &MEMORY).map(Tensor::from)
}

/// Makes a tensor of ones.
pub(crate) fn ones(shape: impl Into<Shape>, dtype: DType) -> Result<Tensor> {
    candle_core::Tensor::ones(shape, dtype, &MEMORY).map(Tensor::from)
}

/// Makes `parts` tensors of `rows` rows of `width` numbers each. Calls `compute(row)` once for each
/// row, on all threads; it returns that row of every part. `[rows, width]` each
pub(crate) fn upload_rows(
    [rows, parts, width]: [usize; 3],
    dtype: DType,
    compute: impl Fn(usize) -> Result<Vec<Vec<f64>>> + Sync,
) -> Result<Vec<Tensor>> {
    match dtype {
        DType::F64 => upload_rows_as::<f64>([rows, parts, width], compute),
        _ => upload_rows_as::<f32>([rows, parts, width], compute),
    }
}

fn upload_rows_as<T: Real>(
    [rows, parts, width]: [usize; 3],
    compute: impl Fn(usize) -> Result<Vec<Vec<f64>>> + Sync,
) -> Result<Vec<Tensor>> {
    let mut values = vec![T::zero(); rows * parts * width];
    values
        .par_chunks_exact_mut(parts * width)
        .enumerate()
        .try_for_each(|(row, out)| {
            for (out, values) in out.chunks_exact_mut(width).zip(compute(row)?) {
                for (out, value) in out.iter_mut().zip(values) {
                    *out = T::from_f64(value);
                }
            }
            Ok::<_, candle_core::Error>(())
        })?;
    let values = tensor(values, (rows, parts, width))?;
    (0..parts)
        .map(|part| {
            values
                .narrow(1, part, 1)?
                .contiguous()?
                .reshape((rows, width))
        })
        .collect()
}

/// Returns the elements of `x` in order, in double precision.
pub(crate) fn download(x: &Tensor) -> Result<Vec<f64>> {
    let x = x.in_memory()?.contiguous()?;
    by_dtype!(x, T => download_as::<T>(&x))
}

fn download_as<T: Real>(x: &Tensor) -> Result<Vec<f64>> {
    Ok(View::<T>::of(x)?.iter().map(|&v| T::to_f64(v)).collect())
}

/// Returns row `row` of `x`, `[rows, width]`, in double precision.
pub(crate) fn download_row(x: &Tensor, row: usize) -> Result<Vec<f64>> {
    download(&x.narrow(0, row, 1)?)
}

/// Returns the rows of `x`, `[rows, width]`, in double precision.
pub(crate) fn download_rows(x: &Tensor) -> Result<Vec<Vec<f64>>> {
    let (_, width) = x.dims2()?;
    let values = download(x)?;
    Ok(values.chunks_exact(width).map(<[f64]>::to_vec).collect())
}

/// Returns the sum of all elements of `x`, taken in double precision.
pub(crate) fn sum(x: &Tensor) -> Result<f64> {
    match x.device() {
        None => x.candle()?.to_dtype(DType::F64)?.sum_all()?.to_scalar(),
        Some(device) => device::reduction::sum(&x.on(device)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        for dtype in [DType::F32, DType::F64] {
            let x = upload_as(vec![1.0, -2.0, 0.5, 4.0], (2, 2), dtype).unwrap();
            assert_eq!(x.dtype(), dtype);
            assert_eq!(download(&x).unwrap(), [1.0, -2.0, 0.5, 4.0]);
            assert_eq!(download_row(&x, 1).unwrap(), [0.5, 4.0]);
            assert_eq!(download_rows(&x).unwrap(), [[1.0, -2.0], [0.5, 4.0]]);
            let turned = Tensor::from(x.to_candle().unwrap().t().unwrap());
            assert_eq!(download(&turned).unwrap(), [1.0, 0.5, -2.0, 4.0]);
            assert_eq!(sum(&x).unwrap(), 3.5);
        }
    }

    #[test]
    fn rows_are_computed_once_each_and_cut_into_parts() {
        for dtype in [DType::F32, DType::F64] {
            let row = |row: usize| Ok(vec![vec![row as f64; 2], vec![-(row as f64); 2]]);
            let parts = upload_rows([3, 2, 2], dtype, row).unwrap();
            let parts: Vec<_> = parts.iter().map(|part| download(part).unwrap()).collect();
            assert_eq!(parts[0], [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]);
            assert_eq!(parts[1], [0.0, 0.0, -1.0, -1.0, -2.0, -2.0]);
        }
    }
}
