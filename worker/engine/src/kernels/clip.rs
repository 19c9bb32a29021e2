//! Clipping: `y = min(max(x, −c), c)`, as MPT and `OLMo` do to projections.

use super::cpu::{self, by_dtype};
use super::device;
use super::row_index::RowIndex;
use super::tensor::{Tensor, device_of};
use crate::error::Result;

/// Clips every value of `x` to `±limit`. Returns the slopes as well: 0 where a value was clipped, 1
/// elsewhere. `[rows, width]` each
pub(crate) fn forward(x: &Tensor, limit: f64) -> Result<(Tensor, Tensor)> {
    match x.device() {
        None => by_dtype!(x, T => cpu::clip::forward::<T>(x, limit)),
        Some(device) => {
            let [y, slopes] = device::activation::clip(&x.on(device)?, limit)?;
            Ok((y.into(), slopes.into()))
        }
    }
}

/// Pulls cotangents of the columns from `column` on back through the slopes. Row `i` of `dy` belongs to
/// row `saved_rows[i]` of the forward pass. `[cotangent rows, columns]`
pub(crate) fn vjp(
    dy: &Tensor,
    slopes: &Tensor,
    column: usize,
    saved_rows: &RowIndex,
) -> Result<Tensor> {
    match device_of([dy, slopes]) {
        None => by_dtype!(dy, T => cpu::clip::vjp::<T>(dy, slopes, column, saved_rows)),
        Some(device) => {
            let (dy, slopes) = (dy.on(device)?, slopes.on(device)?);
            device::activation::clip_vjp(&dy, &slopes, column, saved_rows).map(Tensor::from)
        }
    }
}
