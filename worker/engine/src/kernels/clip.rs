//! Clipping: `y = min(max(x, −c), c)`, as MPT and `OLMo` do to projections.

use candle_core::Tensor;

use crate::error::Result;

use super::tensor::{View, by_dtype, for_each_row, tensor};
use super::{Real, RowIndex};

/// Clips every value of `x` to `±limit`. Returns the slopes as well: 0 where a value was clipped, 1
/// elsewhere. `[rows, width]` each
pub(crate) fn forward(x: &Tensor, limit: f64) -> Result<(Tensor, Tensor)> {
    by_dtype!(x, T => forward_as::<T>(x, limit))
}

fn forward_as<T: Real>(x: &Tensor, limit: f64) -> Result<(Tensor, Tensor)> {
    let (_, width) = x.dims2()?;
    let (highest, lowest) = (T::from_f64(limit), T::from_f64(-limit));
    let mut y = View::<T>::of(x)?.to_vec();
    let mut slopes = vec![T::one(); y.len()];
    for (slope, &value) in slopes.iter_mut().zip(&y) {
        if value < lowest || value > highest {
            *slope = T::zero();
        }
    }
    for_each_row(&mut y, width, |_, row| {
        for value in row {
            if *value < lowest {
                *value = lowest;
            } else if *value > highest {
                *value = highest;
            }
        }
    });
    Ok((tensor(y, x.shape())?, tensor(slopes, x.shape())?))
}

/// Pulls cotangents of the columns from `column` on back through the slopes. Row `i` of `dy` belongs to
/// row `saved_rows[i]` of the forward pass. `[cotangent rows, columns]`
pub(crate) fn vjp(
    dy: &Tensor,
    slopes: &Tensor,
    column: usize,
    saved_rows: &RowIndex,
) -> Result<Tensor> {
    by_dtype!(dy, T => vjp_as::<T>(dy, slopes, column, saved_rows))
}

fn vjp_as<T: Real>(
    dy: &Tensor,
    slopes: &Tensor,
    column: usize,
    saved_rows: &RowIndex,
) -> Result<Tensor> {
    let (_, columns) = dy.dims2()?;
    let (_, width) = slopes.dims2()?;
    let mut dx = View::<T>::of(dy)?.to_vec();
    let slopes = View::<T>::of(slopes)?;
    for_each_row(&mut dx, columns, |row, dx| {
        let slopes = &slopes[saved_rows[row] * width + column..][..columns];
        for (dx, &slope) in dx.iter_mut().zip(slopes) {
            *dx *= slope;
        }
    });
    tensor(dx, dy.shape())
}
