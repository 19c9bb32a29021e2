//! Activations of rows in main memory.

use super::nonlinearity::{slope, value};
use super::real::Real;
use super::slices::{View, for_each_row, tensor};
use crate::error::Result;
use crate::kernels::activation_function::{Activation, SMALLEST_DISTANCE};
use crate::kernels::row_index::RowIndex;
use crate::kernels::tensor::Tensor;

pub(in crate::kernels) fn plain<T: Real>(
    z: &Tensor,
    activation: Activation,
) -> Result<(Tensor, Tensor)> {
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

pub(in crate::kernels) fn gated<T: Real>(
    z: &Tensor,
    activation: Activation,
) -> Result<(Tensor, Tensor)> {
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

pub(in crate::kernels) fn vjp<T: Real>(
    da: &Tensor,
    slopes: &Tensor,
    saved_rows: &RowIndex,
) -> Result<Tensor> {
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

pub(in crate::kernels) fn secants<T: Real>(
    z: &Tensor,
    reference: &Tensor,
    activation: Activation,
    is_gated: bool,
) -> Result<Tensor> {
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
