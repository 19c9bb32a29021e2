//! Norms of rows on a device.

use super::array::Array;
use super::handle::Device;
use crate::error::Result;
use crate::kernels::row_index::RowIndex;
use crate::kernels::scaling::{Normalized, Scaling};

/// Returns the normalized rows, and what the backward pass needs.
pub(in crate::kernels) fn forward(x: &Array, scaling: &Scaling) -> Result<(Array, Normalized)> {
    let (rows, width) = x.shape().dims2()?;
    let (device, dtype) = (x.device(), x.dtype());
    let [weight, bias] = weights(device, scaling)?;
    let groups = width / scaling.group;
    let unit = Array::unwritten(device, (rows, width), dtype)?;
    let deviations = Array::unwritten(device, rows * groups, dtype)?;
    let y = Array::unwritten(device, (rows, width), dtype)?;
    let arguments = [
        x.into(),
        weight.as_ref().into(),
        bias.as_ref().into(),
        (&unit).into(),
        (&deviations).into(),
        (&y).into(),
        scaling.group.into(),
        groups.into(),
        scaling.is_centered.into(),
        scaling.epsilon.into(),
    ];
    device.launch("normalize", dtype, rows * groups, arguments)?;
    let saved = Normalized {
        unit: unit.into(),
        inverse_deviation: deviations.into(),
    };
    Ok((y, saved))
}

/// Pulls `dy` back through the norm of its forward rows.
pub(in crate::kernels) fn vjp(
    dy: &Array,
    scaling: &Scaling,
    saved: &Normalized,
    saved_rows: &RowIndex,
) -> Result<Array> {
    let (rows, width) = dy.shape().dims2()?;
    let (device, dtype) = (dy.device(), dy.dtype());
    let [weight, _] = weights(device, scaling)?;
    let groups = width / scaling.group;
    let dx = Array::unwritten(device, (rows, width), dtype)?;
    let unit = saved.unit.on(device)?;
    let deviations = saved.inverse_deviation.on(device)?;
    let saved_rows = saved_rows.on(device)?;
    let arguments = [
        dy.into(),
        weight.as_ref().into(),
        (&unit).into(),
        (&deviations).into(),
        (&saved_rows).into(),
        (&dx).into(),
        scaling.group.into(),
        groups.into(),
        scaling.is_centered.into(),
    ];
    device.launch("norm_vjp", dtype, rows * groups, arguments)?;
    Ok(dx)
}

/// Returns weight and bias.
fn weights(device: &Device, scaling: &Scaling) -> Result<[Option<Array>; 2]> {
    let bias = scaling.bias.as_ref().map(|bias| bias.on(device));
    Ok([Some(scaling.weight.on(device)?), bias.transpose()?])
}
