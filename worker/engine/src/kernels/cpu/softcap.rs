//! Soft caps of rows in main memory, and of slices for attention.

use super::real::Real;
use super::slices::{View, for_each_row, tensor};
use crate::error::Result;
use crate::kernels::tensor::Tensor;

pub(in crate::kernels) fn bound<T: Real>(x: &Tensor, cap: f64) -> Result<Tensor> {
    let (_, width) = x.dims2()?;
    let mut y = View::<T>::of(x)?.to_vec();
    for_each_row(&mut y, width, |_, row| bound_slice(row, cap));
    tensor(y, x.shape())
}

/// Bounds every value in place.
pub(crate) fn bound_slice<T: Real>(values: &mut [T], cap: f64) {
    let (cap, inverse) = (T::from_f64(cap), T::from_f64(1.0 / cap));
    for value in values {
        *value = cap * T::tanh(*value * inverse);
    }
}

pub(in crate::kernels) fn vjp<T: Real>(y: &Tensor, dy: &Tensor, cap: f64) -> Result<Tensor> {
    let (rows, width) = y.dims2()?;
    let (y, dy) = (View::<T>::of(y)?, View::<T>::of(dy)?);
    let mut dx = dy.to_vec();
    for_each_row(&mut dx, width, |row, dx| {
        vjp_slice(&y[row * width..][..width], dx, cap);
    });
    tensor(dx, (rows, width))
}

/// Turns cotangents of bounded values `y` into those of the values, in place.
pub(crate) fn vjp_slice<T: Real>(y: &[T], dy: &mut [T], cap: f64) {
    let inverse = T::from_f64(1.0 / cap);
    for (d, &y) in dy.iter_mut().zip(y) {
        let bounded = y * inverse;
        *d *= T::one() - bounded * bounded;
    }
}
