//! Rows reduced to numbers on a device, in double precision.

use candle_core::DType;

use super::array::Array;
use crate::error::Result;
use crate::kernels::aggregation::{AxisReduction, Reduction};
use crate::kernels::metric::{Distance, SMALLEST_NORM};
use crate::kernels::row_index::RowIndex;

/// Returns the number of a reduction in `reduction.cu`.
fn kind(by: Option<Reduction>) -> usize {
    match by {
        None => 0,
        Some(Reduction::VNorm) => 1,
        Some(Reduction::Mean) => 2,
        Some(Reduction::Sum) => 3,
        Some(Reduction::Prod) => 4,
        Some(Reduction::Min) => 5,
        Some(Reduction::Max) => 6,
        Some(Reduction::AbsMax) => 7,
    }
}

/// Reduces the last axis of `x`.
pub(in crate::kernels) fn reduce(x: &Array, reduction: &AxisReduction) -> Result<Array> {
    let dims = x.shape().dims();
    let (shape, axis) = dims.split_at(dims.len().saturating_sub(1));
    let axis: usize = axis.iter().product();
    let rows = x.count() / axis.max(1);
    let device = x.device();
    let entries: Vec<_> = reduction
        .entries
        .iter()
        .map(|&entry| entry as i32)
        .collect();
    let entries = Array::from_slice(device, &entries)?;
    let out = Array::unwritten(device, shape, DType::F64)?;
    let arguments = [
        x.into(),
        (&entries).into(),
        (&out).into(),
        axis.into(),
        reduction.entries.len().into(),
        kind(reduction.by).into(),
        reduction.order.into(),
        (reduction.order == f64::INFINITY).into(),
    ];
    device.launch("reduce", x.dtype(), rows, arguments)?;
    Ok(out)
}

/// Returns the sum of all numbers of `x`: of each row there, of the rows here.
pub(in crate::kernels) fn sum(x: &Array) -> Result<f64> {
    let width = x.shape().dims().last().copied().unwrap_or(1).max(1);
    let rows = x.count() / width;
    let out = Array::unwritten(x.device(), rows, DType::F64)?;
    let arguments = [x.into(), (&out).into(), width.into()];
    x.device().launch("sum_rows", x.dtype(), rows, arguments)?;
    Ok(out.to_vec::<f64>()?.into_iter().sum())
}

/// Returns how far each row of `a` is from the same row of `b`. `[rows]`
pub(in crate::kernels) fn distances(a: &Array, b: &Array, distance: Distance) -> Result<Array> {
    let (rows, width) = a.shape().dims2()?;
    let out = Array::unwritten(a.device(), rows, DType::F64)?;
    let arguments = [
        a.into(),
        b.into(),
        (&out).into(),
        width.into(),
        (distance == Distance::Cosine).into(),
        SMALLEST_NORM.into(),
    ];
    a.device().launch("distances", a.dtype(), rows, arguments)?;
    Ok(out)
}

/// Returns the largest distance of an entry of `a` from the same entry of `b`.
pub(in crate::kernels) fn largest_distance(a: &Array, b: &Array) -> Result<f64> {
    let width = a.shape().dims().last().copied().unwrap_or(1).max(1);
    let rows = a.count() / width;
    let out = Array::unwritten(a.device(), rows, DType::F64)?;
    let arguments = [a.into(), b.into(), (&out).into(), width.into()];
    a.device()
        .launch("largest_distances", a.dtype(), rows, arguments)?;
    Ok(out.to_vec::<f64>()?.into_iter().fold(0.0, f64::max))
}

/// Returns the cosine of the angle between each row of `a` and each row of `b`. `[rows, others]`
pub(in crate::kernels) fn cosines(a: &Array, b: &Array) -> Result<Array> {
    let ((rows, width), (others, _)) = (a.shape().dims2()?, b.shape().dims2()?);
    let out = Array::unwritten(a.device(), (rows, others), DType::F64)?;
    let arguments = [
        a.into(),
        b.into(),
        (&out).into(),
        width.into(),
        others.into(),
    ];
    a.device()
        .launch("cosines", a.dtype(), rows * others, arguments)?;
    Ok(out)
}

/// Returns the inner product of each row of `a` with row `places[i]` of `b`.
pub(in crate::kernels) fn dot_rows(a: &Array, b: &Array, places: &RowIndex) -> Result<Vec<f64>> {
    let (rows, width) = a.shape().dims2()?;
    let out = Array::unwritten(a.device(), rows, DType::F64)?;
    let places = places.on(a.device())?;
    let arguments = [
        a.into(),
        b.into(),
        (&places).into(),
        (&out).into(),
        width.into(),
    ];
    a.device().launch("dot_rows", a.dtype(), rows, arguments)?;
    out.to_vec()
}
