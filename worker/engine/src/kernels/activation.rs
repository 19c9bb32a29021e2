//! The nonlinearity of feed-forward networks, plain and gated, and its slopes.
//!
//! The forward pass keeps the derivative of every inner value, so that the backward pass is one
//! multiplication: `[d gate | d up] = [da ⊙ up · act′(gate) | da ⊙ act(gate)]`.

use super::activation_function::Activation;
use super::cpu::{self, by_dtype};
use super::device;
use super::row_index::RowIndex;
use super::tensor::{Tensor, device_of};
use crate::error::Result;

/// Activates rows `z` of a plain network. Returns `act(z)` and the slopes `act′(z)`. `[rows, inner]`
pub(crate) fn plain(z: &Tensor, activation: Activation) -> Result<(Tensor, Tensor)> {
    match z.device() {
        None => by_dtype!(z, T => cpu::activation::plain::<T>(z, activation)),
        Some(device) => {
            let [values, slopes] = device::activation::plain(&z.on(device)?, activation)?;
            Ok((values.into(), slopes.into()))
        }
    }
}

/// Activates rows `[gate | up]` of a gated network. Returns `act(gate) ⊙ up`, `[rows, inner]`, and
/// the slopes with respect to both, `[rows, 2 · inner]`.
pub(crate) fn gated(z: &Tensor, activation: Activation) -> Result<(Tensor, Tensor)> {
    match z.device() {
        None => by_dtype!(z, T => cpu::activation::gated::<T>(z, activation)),
        Some(device) => {
            let [values, slopes] = device::activation::gated(&z.on(device)?, activation)?;
            Ok((values.into(), slopes.into()))
        }
    }
}

/// Pulls `da`, `[cotangent rows, inner]`, back through the slopes of its forward rows. Returns as
/// many columns as the slopes have.
pub(crate) fn vjp(da: &Tensor, slopes: &Tensor, saved_rows: &RowIndex) -> Result<Tensor> {
    match device_of([da, slopes]) {
        None => by_dtype!(da, T => cpu::activation::vjp::<T>(da, slopes, saved_rows)),
        Some(device) => {
            let (da, slopes) = (da.on(device)?, slopes.on(device)?);
            device::activation::vjp(&da, &slopes, saved_rows).map(Tensor::from)
        }
    }
}

/// Returns the slopes of [`plain`] or [`gated`] with `act′` replaced by the slope of the line from
/// `reference` to `z`, `(act(z) − act(z₀)) / (z − z₀)`, wherever these differ by more than 1e-10.
pub(crate) fn secants(
    z: &Tensor,
    reference: &Tensor,
    activation: Activation,
    is_gated: bool,
) -> Result<Tensor> {
    match device_of([z, reference]) {
        None => by_dtype!(z, T => {
            cpu::activation::secants::<T>(z, reference, activation, is_gated)
        }),
        Some(device) => {
            let (z, reference) = (z.on(device)?, reference.on(device)?);
            device::activation::secants([&z, &reference], activation, is_gated).map(Tensor::from)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{host, rows};

    /// A line through two points of the nonlinearity takes one value to the other; where they are
    /// the same point it is the tangent.
    #[test]
    fn secants_lead_from_the_reference_to_the_value() {
        let row = |values: [f64; 4]| host::upload(values.to_vec(), (1, 4));
        let z = row([-1.5, 0.2, 3.0, 0.7]).unwrap();
        let reference = row([2.0, -0.3, 1.0, 0.7]).unwrap();
        let doubles = |t: &Tensor| host::download(t).unwrap();
        for activation in [Activation::Silu, Activation::Relu, Activation::Tanh] {
            let (at_z, slopes) = plain(&z, activation).unwrap();
            let (at_reference, _) = plain(&reference, activation).unwrap();
            let secants = doubles(&secants(&z, &reference, activation, false).unwrap());
            let distance = doubles(&rows::subtract(&z, &reference).unwrap());
            let change = doubles(&rows::subtract(&at_z, &at_reference).unwrap());
            for index in 0..3 {
                let error = secants[index] * distance[index] - change[index];
                assert!(error.abs() < 1e-12, "{activation:?}: {error}");
            }
            assert_eq!(secants[3], doubles(&slopes)[3]);
        }
    }
}
