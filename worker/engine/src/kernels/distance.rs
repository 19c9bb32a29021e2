//! How far rows are apart, entry by entry in double precision.

use super::cpu::{self, by_dtype};
use super::device;
pub(crate) use super::metric::Distance;
use super::tensor::{Tensor, device_of};
use crate::error::Result;

/// Returns how far each row of `a` is from the same row of `b`; both `[rows, width]`.
/// `[rows]`, in double precision
pub(crate) fn between_rows(a: &Tensor, b: &Tensor, distance: Distance) -> Result<Tensor> {
    match device_of([a, b]) {
        None => by_dtype!(a, T => cpu::distance::between_rows::<T>(a, b, distance)),
        Some(device) => {
            let (a, b) = (a.on(device)?, b.on(device)?);
            device::reduction::distances(&a, &b, distance).map(Tensor::from)
        }
    }
}

/// Returns the largest distance of an entry of `a` from the same entry of `b`.
pub(crate) fn largest(a: &Tensor, b: &Tensor) -> Result<f64> {
    match device_of([a, b]) {
        None => cpu::distance::largest(a, b),
        Some(device) => device::reduction::largest_distance(&a.on(device)?, &b.on(device)?),
    }
}

/// Returns the cosine of the angle between each row of `a`, `[rows, width]`, and each row of `b`,
/// `[others, width]`; 0 for rows of zeros. `[rows, others]`, in double precision
pub(crate) fn cosines(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    match device_of([a, b]) {
        None => by_dtype!(a, T => cpu::distance::cosines::<T>(a, b)),
        Some(device) => {
            device::reduction::cosines(&a.on(device)?, &b.on(device)?).map(Tensor::from)
        }
    }
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
