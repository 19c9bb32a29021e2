//! Rows moved and combined on a device, and numbers converted.

use candle_core::{DType, Error};

use super::array::Array;
use crate::error::Result;
use crate::kernels::row_index::RowIndex;

/// Returns rows `indices` of `x`.
pub(in crate::kernels) fn gather(x: &Array, indices: &RowIndex) -> Result<Array> {
    let rows = indices.len();
    let (_, width) = x.shape().dims2()?;
    let out = Array::unwritten(x.device(), (rows, width), x.dtype())?;
    let indices = indices.on(x.device())?;
    let arguments = [x.into(), (&indices).into(), (&out).into(), width.into()];
    x.device().launch("gather", x.dtype(), rows, arguments)?;
    Ok(out)
}

/// Returns rows `indices` of `table`, which is in half precision, in precision `dtype`.
pub(in crate::kernels) fn gather_widened(
    table: &Array,
    indices: &RowIndex,
    dtype: DType,
) -> Result<Array> {
    let (device, rows) = (table.device(), indices.len());
    let (_, width) = table.shape().dims2()?;
    let out = Array::unwritten(device, (rows, width), dtype)?;
    let indices = indices.on(device)?;
    let arguments = [
        table.into(),
        (&indices).into(),
        (&out).into(),
        width.into(),
        (table.dtype() == DType::BF16).into(),
    ];
    device.launch("gather_halves", dtype, rows, arguments)?;
    Ok(out)
}

/// Returns `x` in precision `dtype`, single or double.
pub(in crate::kernels) fn converted(x: &Array, dtype: DType) -> Result<Array> {
    if x.dtype() == dtype {
        return Ok(x.clone());
    }
    if !matches!(dtype, DType::F32 | DType::F64) {
        return Err(Error::UnsupportedDTypeForOp(dtype, "device").bt());
    }
    let (device, count) = (x.device(), x.count());
    let out = Array::unwritten(device, x.shape().clone(), dtype)?;
    let arguments = [x.into(), (&out).into(), count.into()];
    match x.dtype() {
        DType::F32 => device.launch_over("from_single", dtype, count, arguments)?,
        DType::F64 => device.launch_over("from_double", dtype, count, arguments)?,
        halves => {
            let [from, to, count_of] = arguments;
            let arguments = [from, to, count_of, (halves == DType::BF16).into()];
            device.launch_over("widen", dtype, count, arguments)?;
        }
    }
    Ok(out)
}

/// Returns `number` in every entry of an array like `x`.
pub(in crate::kernels) fn filled(x: &Array, number: f64) -> Result<Array> {
    let out = Array::unwritten(x.device(), x.shape().clone(), x.dtype())?;
    let arguments = [(&out).into(), x.count().into(), number.into()];
    x.device()
        .launch_over("fill", x.dtype(), x.count(), arguments)?;
    Ok(out)
}

/// Returns a copy of `x` with row `i` of `added` added to row `indices[i]`.
pub(in crate::kernels) fn add_at(x: &Array, added: &Array, indices: &RowIndex) -> Result<Array> {
    let (_, width) = x.shape().dims2()?;
    let device = x.device();
    let out = Array::unwritten(device, x.shape().clone(), x.dtype())?;
    let bytes = x.count() * x.dtype().size_in_bytes();
    device.copy(x.address(), out.address(), bytes)?;
    let places = indices.on(device)?;
    let arguments = [(&out).into(), added.into(), (&places).into(), width.into()];
    device.launch("add_at", x.dtype(), indices.len(), arguments)?;
    Ok(out)
}

/// Returns what the kernel makes of `x`, entry by entry.
pub(in crate::kernels) fn each(kernel: &'static str, x: &Array) -> Result<Array> {
    let out = Array::unwritten(x.device(), x.shape().clone(), x.dtype())?;
    let arguments = [x.into(), (&out).into(), x.count().into()];
    x.device()
        .launch_over(kernel, x.dtype(), x.count(), arguments)?;
    Ok(out)
}

/// Returns what the kernel makes of `x` and a number, entry by entry.
pub(in crate::kernels) fn each_with(kernel: &'static str, x: &Array, number: f64) -> Result<Array> {
    let out = Array::unwritten(x.device(), x.shape().clone(), x.dtype())?;
    let arguments = [x.into(), (&out).into(), x.count().into(), number.into()];
    x.device()
        .launch_over(kernel, x.dtype(), x.count(), arguments)?;
    Ok(out)
}

/// Returns what the kernel makes of `a` and `b`, entry by entry.
pub(in crate::kernels) fn combined(kernel: &'static str, a: &Array, b: &Array) -> Result<Array> {
    let out = Array::unwritten(a.device(), a.shape().clone(), a.dtype())?;
    let arguments = [a.into(), b.into(), (&out).into(), a.count().into()];
    a.device()
        .launch_over(kernel, a.dtype(), a.count(), arguments)?;
    Ok(out)
}

/// Returns what the kernel makes of `a`, `b` and a number, entry by entry.
pub(in crate::kernels) fn combined_with(
    kernel: &'static str,
    [a, b]: [&Array; 2],
    number: f64,
) -> Result<Array> {
    let out = Array::unwritten(a.device(), a.shape().clone(), a.dtype())?;
    let arguments = [
        a.into(),
        b.into(),
        (&out).into(),
        a.count().into(),
        number.into(),
    ];
    a.device()
        .launch_over(kernel, a.dtype(), a.count(), arguments)?;
    Ok(out)
}

/// Returns the rows of `x`, each times its factor.
pub(in crate::kernels) fn scale_each(x: &Array, factors: &[f64]) -> Result<Array> {
    let (_, width) = x.shape().dims2()?;
    let device = x.device();
    let out = Array::unwritten(device, x.shape().clone(), x.dtype())?;
    let factors_there = Array::from_slice(device, factors)?;
    let arguments = [
        x.into(),
        (&factors_there).into(),
        (&out).into(),
        width.into(),
    ];
    device.launch("scale_each", x.dtype(), factors.len(), arguments)?;
    Ok(out)
}

/// Returns row `i` of `a` where `is_first[i]`, of `b` elsewhere.
pub(in crate::kernels) fn choose(is_first: &[bool], a: &Array, b: &Array) -> Result<Array> {
    let (_, width) = a.shape().dims2()?;
    let device = a.device();
    let flags: Vec<_> = is_first.iter().copied().map(i32::from).collect();
    let flags = Array::from_slice(device, &flags)?;
    let out = Array::unwritten(device, (is_first.len(), width), a.dtype())?;
    let arguments = [
        (&flags).into(),
        a.into(),
        b.into(),
        (&out).into(),
        width.into(),
    ];
    device.launch("choose", a.dtype(), is_first.len(), arguments)?;
    Ok(out)
}
