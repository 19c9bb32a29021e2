//! Soft caps: `y = c · tanh(x / c)`, as Gemma 2 applies to logits and attention scores.

use candle_core::Tensor;

use crate::error::Result;

use super::Real;
use super::tensor::{View, by_dtype, for_each_row, tensor};

/// Bounds every value of `x`. `[rows, width]`
pub(crate) fn bound(x: &Tensor, cap: f64) -> Result<Tensor> {
    by_dtype!(x, T => bound_as::<T>(x, cap))
}

fn bound_as<T: Real>(x: &Tensor, cap: f64) -> Result<Tensor> {
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

/// Pulls `dy` back to the values that were bounded to `y`: `dx = dy · (1 − (y / c)²)`. `[rows, width]`
pub(crate) fn vjp(y: &Tensor, dy: &Tensor, cap: f64) -> Result<Tensor> {
    by_dtype!(y, T => vjp_as::<T>(y, dy, cap))
}

fn vjp_as<T: Real>(y: &Tensor, dy: &Tensor, cap: f64) -> Result<Tensor> {
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
