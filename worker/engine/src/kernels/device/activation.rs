//! Nonlinearities, clipping and soft caps on a device.

use super::array::Array;
use crate::error::Result;
use crate::kernels::activation_function::{Activation, SMALLEST_DISTANCE};
use crate::kernels::row_index::RowIndex;

/// Returns the number of a nonlinearity in `activation.cu`.
fn kind(activation: Activation) -> usize {
    match activation {
        Activation::Silu => 0,
        Activation::Relu => 1,
        Activation::SquaredRelu => 2,
        Activation::Gelu => 3,
        Activation::TanhGelu => 4,
        Activation::TruncatedTanhGelu => 5,
        Activation::QuickGelu => 6,
        Activation::Tanh => 7,
        Activation::Sigmoid => 8,
        Activation::Linear => 9,
        Activation::Relu6 => 10,
        Activation::LeakyRelu => 11,
        Activation::HardSwish => 12,
        Activation::Mish => 13,
        Activation::Laplace => 14,
        Activation::ClippedGelu => 15,
        Activation::SqrtSoftplus => 16,
    }
}

/// Returns values and slopes of a plain network.
pub(in crate::kernels) fn plain(z: &Array, activation: Activation) -> Result<[Array; 2]> {
    let unwritten = || Array::unwritten(z.device(), z.shape().clone(), z.dtype());
    let (values, slopes) = (unwritten()?, unwritten()?);
    let arguments = [
        z.into(),
        (&values).into(),
        (&slopes).into(),
        z.count().into(),
        kind(activation).into(),
    ];
    z.device()
        .launch_over("activate", z.dtype(), z.count(), arguments)?;
    Ok([values, slopes])
}

/// Returns values and slopes of a gated network.
pub(in crate::kernels) fn gated(z: &Array, activation: Activation) -> Result<[Array; 2]> {
    let (rows, width) = z.shape().dims2()?;
    let (device, inner) = (z.device(), width / 2);
    let values = Array::unwritten(device, (rows, inner), z.dtype())?;
    let slopes = Array::unwritten(device, (rows, width), z.dtype())?;
    let arguments = [
        z.into(),
        (&values).into(),
        (&slopes).into(),
        inner.into(),
        kind(activation).into(),
    ];
    device.launch("activate_gated", z.dtype(), rows, arguments)?;
    Ok([values, slopes])
}

/// Pulls `da` back through the slopes of its forward rows.
pub(in crate::kernels) fn vjp(da: &Array, slopes: &Array, saved_rows: &RowIndex) -> Result<Array> {
    let ((rows, inner), (_, width)) = (da.shape().dims2()?, slopes.shape().dims2()?);
    let dz = Array::unwritten(da.device(), (rows, width), da.dtype())?;
    let saved_rows = saved_rows.on(da.device())?;
    let arguments = [
        da.into(),
        slopes.into(),
        (&saved_rows).into(),
        (&dz).into(),
        inner.into(),
        (width / inner.max(1)).into(),
    ];
    da.device()
        .launch("activation_vjp", da.dtype(), rows, arguments)?;
    Ok(dz)
}

/// Returns the slopes of the lines from `reference` to `z`, and the tangents where these are too near
/// each other.
pub(in crate::kernels) fn secants(
    [z, reference]: [&Array; 2],
    activation: Activation,
    is_gated: bool,
) -> Result<Array> {
    let (rows, width) = z.shape().dims2()?;
    let parts = if is_gated { 2 } else { 1 };
    let slopes = Array::unwritten(z.device(), (rows, width), z.dtype())?;
    let arguments = [
        z.into(),
        reference.into(),
        (&slopes).into(),
        (width / parts).into(),
        parts.into(),
        kind(activation).into(),
        SMALLEST_DISTANCE.into(),
    ];
    z.device().launch("secants", z.dtype(), rows, arguments)?;
    Ok(slopes)
}

/// Returns `x` clipped to `±limit`, and the slopes.
pub(in crate::kernels) fn clip(x: &Array, limit: f64) -> Result<[Array; 2]> {
    let unwritten = || Array::unwritten(x.device(), x.shape().clone(), x.dtype());
    let (y, slopes) = (unwritten()?, unwritten()?);
    let arguments = [
        x.into(),
        (&y).into(),
        (&slopes).into(),
        x.count().into(),
        limit.into(),
    ];
    x.device()
        .launch_over("clip", x.dtype(), x.count(), arguments)?;
    Ok([y, slopes])
}

/// Pulls cotangents of the columns from `column` on back through the slopes of clipping.
pub(in crate::kernels) fn clip_vjp(
    dy: &Array,
    slopes: &Array,
    column: usize,
    saved_rows: &RowIndex,
) -> Result<Array> {
    let ((rows, columns), (_, width)) = (dy.shape().dims2()?, slopes.shape().dims2()?);
    let dx = Array::unwritten(dy.device(), (rows, columns), dy.dtype())?;
    let saved_rows = saved_rows.on(dy.device())?;
    let arguments = [
        dy.into(),
        slopes.into(),
        (&saved_rows).into(),
        (&dx).into(),
        columns.into(),
        width.into(),
        column.into(),
    ];
    dy.device()
        .launch("clip_vjp", dy.dtype(), rows, arguments)?;
    Ok(dx)
}
