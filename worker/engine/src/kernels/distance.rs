//! How far rows are apart, entry by entry in double precision.

use candle_core::{DType, Tensor};

use crate::error::Result;

use super::Real;
use super::tensor::{View, by_dtype, tensor};

/// Norms below this are taken for it. `PyTorch`'s own limit.
const SMALLEST_NORM: f64 = 1e-8;

/// How two rows are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Distance {
    /// One less the cosine of their angle.
    Cosine,
    /// The length of their difference.
    Euclidean,
}

/// Returns how far each row of `a` is from the same row of `b`; both `[rows, width]`.
/// `[rows]`, in double precision
pub(crate) fn between_rows(a: &Tensor, b: &Tensor, distance: Distance) -> Result<Tensor> {
    by_dtype!(a, T => between_rows_as::<T>(a, b, distance))
}

fn between_rows_as<T: Real>(a: &Tensor, b: &Tensor, distance: Distance) -> Result<Tensor> {
    let (rows, width) = a.dims2()?;
    let (a, b) = (View::<T>::of(a)?, View::<T>::of(b)?);
    let pairs = a.chunks_exact(width).zip(b.chunks_exact(width));
    let distances = pairs.map(|(a, b)| distance.of(a, b)).collect();
    tensor::<f64, _>(distances, rows)
}

impl Distance {
    fn of<T: Real>(self, a: &[T], b: &[T]) -> f64 {
        let (mut dot, mut of_first, mut of_second, mut between) = (0.0, 0.0, 0.0, 0.0);
        for (a, b) in a.iter().zip(b) {
            let (a, b) = (a.to_f64(), b.to_f64());
            dot += a * b;
            of_first += a * a;
            of_second += b * b;
            between += (a - b) * (a - b);
        }
        match self {
            Self::Cosine => {
                let norm = |square: f64| f64::sqrt(square).max(SMALLEST_NORM);
                1.0 - dot / (norm(of_first) * norm(of_second))
            }
            Self::Euclidean => f64::sqrt(between),
        }
    }
}

/// Returns the largest distance of an entry of `a` from the same entry of `b`.
pub(crate) fn largest(a: &Tensor, b: &Tensor) -> Result<f64> {
    let distances = (a - b)?.abs()?.to_dtype(DType::F64)?;
    distances.max_all()?.to_scalar()
}

/// Returns the cosine of the angle between each row of `a`, `[rows, width]`, and each row of `b`,
/// `[others, width]`; 0 for rows of zeros. `[rows, others]`, in double precision
pub(crate) fn cosines(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    by_dtype!(a, T => cosines_as::<T>(a, b))
}

fn cosines_as<T: Real>(a: &Tensor, b: &Tensor) -> Result<Tensor> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::host;

    fn rows(values: &[f32]) -> Tensor {
        host::upload(values.to_vec(), (values.len() / 2, 2)).unwrap()
    }

    #[test]
    fn rows_are_compared_pair_by_pair() {
        let (a, b) = (rows(&[3.0, 0.0, 1.0, 1.0]), rows(&[0.0, 4.0, 2.0, 2.0]));
        let of = |distance| host::download(&between_rows(&a, &b, distance).unwrap()).unwrap();
        assert_eq!(of(Distance::Euclidean), [5.0, 2_f64.sqrt()]);
        let cosine = of(Distance::Cosine);
        assert_eq!(cosine[0], 1.0);
        assert!(cosine[1].abs() < 1e-15, "{}", cosine[1]);
    }

    #[test]
    fn the_largest_distance_is_that_of_single_entries() {
        let (a, b) = (rows(&[3.0, 0.0, 1.0, 1.0]), rows(&[1.0, 4.0, 1.0, 0.5]));
        assert_eq!(largest(&a, &b).unwrap(), 4.0);
    }

    #[test]
    fn every_row_meets_every_other() {
        let (a, b) = (
            rows(&[2.0, 0.0, 0.0, 0.0]),
            rows(&[1.0, 0.0, 0.0, 5.0, -3.0, 0.0]),
        );
        let cosines = cosines(&a, &b).unwrap();
        assert_eq!(cosines.dims(), [2, 3]);
        let values = host::download(&cosines).unwrap();
        assert_eq!(values, [1.0, 0.0, -1.0, 0.0, 0.0, 0.0]);
    }
}
