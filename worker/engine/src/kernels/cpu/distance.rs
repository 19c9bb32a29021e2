//! Distances of rows in main memory.

use candle_core::DType;

use super::real::Real;
use super::slices::{View, tensor};
use crate::error::Result;
use crate::kernels::metric::{Distance, SMALLEST_NORM};
use crate::kernels::tensor::Tensor;

pub(in crate::kernels) fn between_rows<T: Real>(
    a: &Tensor,
    b: &Tensor,
    distance: Distance,
) -> Result<Tensor> {
    let (rows, width) = a.dims2()?;
    let (a, b) = (View::<T>::of(a)?, View::<T>::of(b)?);
    let pairs = a.chunks_exact(width).zip(b.chunks_exact(width));
    let distances = pairs.map(|(a, b)| between(distance, a, b)).collect();
    tensor::<f64, _>(distances, rows)
}

fn between<T: Real>(distance: Distance, a: &[T], b: &[T]) -> f64 {
    let (mut dot, mut of_first, mut of_second, mut between) = (0.0, 0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a.to_f64(), b.to_f64());
        dot += a * b;
        of_first += a * a;
        of_second += b * b;
        between += (a - b) * (a - b);
    }
    match distance {
        Distance::Cosine => {
            let norm = |square: f64| f64::sqrt(square).max(SMALLEST_NORM);
            1.0 - dot / (norm(of_first) * norm(of_second))
        }
        Distance::Euclidean => f64::sqrt(between),
    }
}

pub(in crate::kernels) fn largest(a: &Tensor, b: &Tensor) -> Result<f64> {
    let distances = (a.candle()? - b.candle()?)?.abs()?.to_dtype(DType::F64)?;
    distances.max_all()?.to_scalar()
}

pub(in crate::kernels) fn cosines<T: Real>(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let shape = (a.dim(0)?, b.dim(0)?);
    let (a, b) = (directions::<T>(a)?, directions::<T>(b)?);
    let mut cosines = Vec::with_capacity(a.len() * b.len());
    for a in &a {
        for b in &b {
            cosines.push(a.iter().zip(b).map(|(a, b)| a * b).sum());
        }
    }
    tensor::<f64, _>(cosines, shape)
}

/// Returns the rows of `x`, each of length 1; rows of zeros stay zero.
fn directions<T: Real>(x: &Tensor) -> Result<Vec<Vec<f64>>> {
    let (_, width) = x.dims2()?;
    let direction = |row: &[T]| {
        let mut row: Vec<f64> = row.iter().map(|v| v.to_f64()).collect();
        let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        if length > 0.0 {
            for v in &mut row {
                *v /= length;
            }
        }
        row
    };
    Ok(View::<T>::of(x)?
        .chunks_exact(width)
        .map(direction)
        .collect())
}
