//! RMS norm and layer norm of rows or of the heads in them, and their vector–Jacobian products.
//!
//! With x̂ the normalized row, w the weight, r = 1/σ and g = w ⊙ dy:
//!
//! * RMS: `dx = r · (g − x̂ · mean(g ⊙ x̂))`
//! * layer: `dx = r · (g − mean(g) − x̂ · mean(g ⊙ x̂))`
//!
//! Means are summed in double precision: a row has hundreds of entries, and the error of a
//! single-precision sum would reach the gradients of every layer below.

use super::cpu::{self, by_dtype};
use super::device;
use super::row_index::RowIndex;
pub(crate) use super::scaling::{Normalized, Scaling};
use super::tensor::{Tensor, device_of};
use crate::error::Result;

/// Normalizes the groups of the rows of `x`. `[rows, width]`
pub(crate) fn forward(x: &Tensor, scaling: &Scaling) -> Result<(Tensor, Normalized)> {
    match device_of([x, &scaling.weight]) {
        None => by_dtype!(x, T => cpu::norm::forward::<T>(x, scaling)),
        Some(device) => {
            let (y, saved) = device::norm::forward(&x.on(device)?, scaling)?;
            Ok((y.into(), saved))
        }
    }
}

/// Pulls `dy` back through the norm. Row `i` of `dy` belongs to row `saved_rows[i]` of the forward
/// pass. `[cotangent rows, width]`
pub(crate) fn vjp(
    dy: &Tensor,
    scaling: &Scaling,
    saved: &Normalized,
    saved_rows: &RowIndex,
) -> Result<Tensor> {
    match device_of([dy, &saved.unit]) {
        None => by_dtype!(dy, T => cpu::norm::vjp::<T>(dy, scaling, saved, saved_rows)),
        Some(device) => {
            device::norm::vjp(&dy.on(device)?, scaling, saved, saved_rows).map(Tensor::from)
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::*;
    use crate::kernels::host;

    /// `lime` fills embeddings with the number of a token: hundreds, and what positions add to them
    /// is hundredths.
    #[test]
    fn rows_far_from_zero_keep_their_digits() {
        const WIDTH: usize = 48;
        let entries = (0..WIDTH).map(|i| 319.0 + 0.02 * (i as f32).sin());
        let x = host::upload(entries.collect::<Vec<_>>(), (1, WIDTH)).unwrap();
        let unit = |dtype| {
            let scaling = Scaling {
                weight: host::ones(WIDTH, dtype).unwrap(),
                bias: None,
                group: WIDTH,
                is_centered: true,
                epsilon: 1e-5,
            };
            let (y, _) = forward(&x.to_dtype(dtype).unwrap(), &scaling).unwrap();
            host::download(&y).unwrap()
        };
        for (single, double) in unit(DType::F32).iter().zip(unit(DType::F64)) {
            assert!(
                (single - double).abs() < 1e-6,
                "{single}, in double {double}"
            );
        }
    }
}
