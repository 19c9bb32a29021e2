//! The nonlinearity of feed-forward networks, plain and gated, and its slopes.
//!
//! The forward pass keeps the derivative of every inner value, so that the backward pass is one
//! multiplication: `[d gate | d up] = [da ⊙ up · act′(gate) | da ⊙ act(gate)]`.

use candle_core::Tensor;

use super::activation_function::Activation;
use crate::error::Result;

use super::nonlinearity::{slope, value};
use super::tensor::{View, by_dtype, for_each_row, tensor};
use super::{Real, RowIndex};

/// Activates rows `z` of a plain network. Returns `act(z)` and the slopes `act′(z)`. `[rows, inner]`
pub(crate) fn plain(z: &Tensor, activation: Activation) -> Result<(Tensor, Tensor)> {
    by_dtype!(z, T => plain_as::<T>(z, activation))
}

fn plain_as<T: Real>(z: &Tensor, activation: Activation) -> Result<(Tensor, Tensor)> {
    let (_, inner) = z.dims2()?;
    let input = View::<T>::of(z)?;
    let mut slopes = vec![T::zero(); input.len()];
    for_each_row(&mut slopes, inner, |row, slopes| {
        slope(activation, &input[row * inner..][..inner], slopes);
    });
    let mut values = vec![T::zero(); input.len()];
    for_each_row(&mut values, inner, |row, values| {
        value(activation, &input[row * inner..][..inner], values);
    });
    Ok((tensor(values, z.shape())?, tensor(slopes, z.shape())?))
}

/// Activates rows `[gate | up]` of a gated network. Returns `act(gate) ⊙ up`, `[rows, inner]`, and
/// the slopes with respect to both, `[rows, 2 · inner]`.
pub(crate) fn gated(z: &Tensor, activation: Activation) -> Result<(Tensor, Tensor)> {
    by_dtype!(z, T => gated_as::<T>(z, activation))
}

fn gated_as<T: Real>(z: &Tensor, activation: Activation) -> Result<(Tensor, Tensor)> {
    let (rows, width) = z.dims2()?;
    let inner = width / 2;
    let input = View::<T>::of(z)?;
    let mut slopes = vec![T::zero(); input.len()];
    for_each_row(&mut slopes, width, |row, slopes| {
        let (gate, up) = input[row * width..][..width].split_at(inner);
        let (of_gate, of_up) = slopes.split_at_mut(inner);
        value(activation, gate, of_up);
        slope(activation, gate, of_gate);
        for (slope, &up) in of_gate.iter_mut().zip(up) {
            *slope *= up;
        }
    });
    let mut values = vec![T::zero(); rows * inner];
    for_each_row(&mut values, inner, |row, values| {
        let up = &input[row * width + inner..][..inner];
        let activated = &slopes[row * width + inner..][..inner];
        for ((value, &up), &activated) in values.iter_mut().zip(up).zip(activated) {
            *value = activated * up;
        }
    });
    Ok((tensor(values, (rows, inner))?, tensor(slopes, z.shape())?))
}

/// Pulls `da`, `[cotangent rows, inner]`, back through the slopes of its forward rows. Returns as
/// many columns as the slopes have.
pub(crate) fn vjp(da: &Tensor, slopes: &Tensor, saved_rows: &RowIndex) -> Result<Tensor> {
    by_dtype!(da, T => vjp_as::<T>(da, slopes, saved_rows))
}

fn vjp_as<T: Real>(da: &Tensor, slopes: &Tensor, saved_rows: &RowIndex) -> Result<Tensor> {
    let (rows, inner) = da.dims2()?;
    let (_, width) = slopes.dims2()?;
    let (da, slopes) = (View::<T>::of(da)?, View::<T>::of(slopes)?);
    let mut dz = vec![T::zero(); rows * width];
    for_each_row(&mut dz, width, |row, dz| {
        let da = &da[row * inner..][..inner];
        let slopes = &slopes[saved_rows[row] * width..][..width];
        for (dz, slopes) in dz.chunks_exact_mut(inner).zip(slopes.chunks_exact(inner)) {
            for ((dz, &da), &slope) in dz.iter_mut().zip(da).zip(slopes) {
                *dz = da * slope;
            }
        }
    });
    tensor(dz, (rows, width))
}

/// Returns the slopes of [`plain`] or [`gated`] with `act′` replaced by the slope of the line from
/// `reference` to `z`, `(act(z) − act(z₀)) / (z − z₀)`, wherever these differ by more than 1e-10.
pub(crate) fn secants(
    z: &Tensor,
    reference: &Tensor,
    activation: Activation,
    is_gated: bool,
) -> Result<Tensor> {
    by_dtype!(z, T => secants_as::<T>(z, reference, activation, is_gated))
}

fn secants_as<T: Real>(
    z: &Tensor,
    reference: &Tensor,
    activation: Activation,
    is_gated: bool,
) -> Result<Tensor> {
    /// Below this distance the tangent stands for the line. Captum's own limit.
    const SMALLEST_DISTANCE: f64 = 1e-10;
    let (_, width) = z.dims2()?;
    let inner = if is_gated { width / 2 } else { width };
    let (input, reference) = (View::<T>::of(z)?, View::<T>::of(reference)?);
    let mut slopes = vec![T::zero(); input.len()];
    for_each_row(&mut slopes, width, |row, slopes| {
        let z = &input[row * width..][..width];
        let z_reference = &reference[row * width..][..inner];
        let (mut at_input, mut at_reference) = (vec![T::zero(); inner], vec![T::zero(); inner]);
        value(activation, &z[..inner], &mut at_input);
        value(activation, z_reference, &mut at_reference);
        let (of_activation, of_up) = slopes.split_at_mut(inner);
        slope(activation, &z[..inner], of_activation);
        for index in 0..inner {
            let distance = z[index] - z_reference[index];
            if distance.to_f64().abs() >= SMALLEST_DISTANCE {
                of_activation[index] = (at_input[index] - at_reference[index]) / distance;
            }
        }
        if is_gated {
            for (slope, &up) in of_activation.iter_mut().zip(&z[inner..]) {
                *slope *= up;
            }
            of_up.copy_from_slice(&at_input);
        }
    });
    tensor(slopes, z.shape())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// A line through two points of the nonlinearity takes one value to the other; where they are
    /// the same point it is the tangent.
    #[test]
    fn secants_lead_from_the_reference_to_the_value() {
        let row = |values: [f64; 4]| Tensor::from_vec(values.to_vec(), (1, 4), &Device::Cpu);
        let z = row([-1.5, 0.2, 3.0, 0.7]).unwrap();
        let reference = row([2.0, -0.3, 1.0, 0.7]).unwrap();
        let doubles = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        for activation in [Activation::Silu, Activation::Relu, Activation::Tanh] {
            let (at_z, slopes) = plain(&z, activation).unwrap();
            let (at_reference, _) = plain(&reference, activation).unwrap();
            let secants = doubles(&secants(&z, &reference, activation, false).unwrap());
            let distance = doubles(&(&z - &reference).unwrap());
            let change = doubles(&(at_z - at_reference).unwrap());
            for index in 0..3 {
                let error = secants[index] * distance[index] - change[index];
                assert!(error.abs() < 1e-12, "{activation:?}: {error}");
            }
            assert_eq!(secants[3], doubles(&slopes)[3]);
        }
    }
}
