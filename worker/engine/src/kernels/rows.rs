//! Rows moved and combined: gathered, added to, scaled, chosen between.

use candle_core::{DType, WithDType};

use super::cpu::{self, by_dtype};
use super::device;
use super::row_index::RowIndex;
use super::tensor::{Tensor, device_of};
use crate::error::Result;

/// Returns rows `indices` of `x`. `[indices, width]`
pub(crate) fn gather(x: &Tensor, indices: &RowIndex) -> Result<Tensor> {
    match x.device() {
        None => by_dtype!(x, T => cpu::rows::gather::<T>(x, indices)),
        Some(device) => device::rows::gather(&x.on(device)?, indices).map(Tensor::from),
    }
}

/// Returns rows `indices` of a table of half precision, in precision `dtype`. `[indices, width]`
pub(crate) fn gather_widened(halves: &Tensor, indices: &RowIndex, dtype: DType) -> Result<Tensor> {
    match halves.device() {
        None => cpu::rows::gather_widened(halves, indices, dtype),
        Some(device) => {
            device::rows::gather_widened(&halves.on(device)?, indices, dtype).map(Tensor::from)
        }
    }
}

/// Returns `a + b` of the same shape.
pub(crate) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    match device_of([a, b]) {
        None => by_dtype!(a, T => cpu::rows::combine::<T>(a, b, |a, b| a + b)),
        Some(device) => {
            device::rows::combined("add", &a.on(device)?, &b.on(device)?).map(Tensor::from)
        }
    }
}

/// Returns `x` with row `i` of `added` added to row `indices[i]`. No row is named twice.
pub(crate) fn add_at(x: &Tensor, added: &Tensor, indices: &RowIndex) -> Result<Tensor> {
    match device_of([x, added]) {
        None => by_dtype!(x, T => cpu::rows::add_at::<T>(x, added, indices)),
        Some(device) => {
            device::rows::add_at(&x.on(device)?, &added.on(device)?, indices).map(Tensor::from)
        }
    }
}

/// Returns `a − b` of the same shape.
pub(crate) fn subtract(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    match device_of([a, b]) {
        None => by_dtype!(a, T => cpu::rows::combine::<T>(a, b, |a, b| a - b)),
        Some(device) => {
            device::rows::combined("subtract", &a.on(device)?, &b.on(device)?).map(Tensor::from)
        }
    }
}

/// Returns what lies at `alpha` of the straight way from `a`, 0, to `b`, 1: `a + (b − a) · alpha`.
pub(crate) fn at_share_of_way(a: &Tensor, b: &Tensor, alpha: f64) -> Result<Tensor> {
    let Some(device) = device_of([a, b]) else {
        return by_dtype!(a, T => {
            let alpha = <T as WithDType>::from_f64(alpha);
            cpu::rows::combine::<T>(a, b, |a, b| a + (b - a) * alpha)
        });
    };
    let (a, b) = (a.on(device)?, b.on(device)?);
    device::rows::combined_with("at_share_of_way", [&a, &b], alpha).map(Tensor::from)
}

/// Returns `|x|` of every entry.
pub(crate) fn absolute(x: &Tensor) -> Result<Tensor> {
    match x.device() {
        None => cpu::rows::absolute(x),
        Some(device) => device::rows::each("absolute", &x.on(device)?).map(Tensor::from),
    }
}

/// Returns `x` with `number` added to every entry.
pub(crate) fn add_number(x: &Tensor, number: f64) -> Result<Tensor> {
    match x.device() {
        None => cpu::rows::add_number(x, number),
        Some(device) => {
            device::rows::each_with("add_number", &x.on(device)?, number).map(Tensor::from)
        }
    }
}

/// Returns `x` with `number` in every entry.
pub(crate) fn filled(x: &Tensor, number: f64) -> Result<Tensor> {
    match x.device() {
        None => add_number(&x.zeros_like()?, number),
        Some(device) => device::rows::filled(&x.on(device)?, number).map(Tensor::from),
    }
}

/// Returns the rows of `x`, each times its factor. `[rows, width]`
pub(crate) fn scale_each(x: &Tensor, factors: &[f64]) -> Result<Tensor> {
    match x.device() {
        None => by_dtype!(x, T => cpu::rows::scale_each::<T>(x, factors)),
        Some(device) => device::rows::scale_each(&x.on(device)?, factors).map(Tensor::from),
    }
}

/// Returns row `i` of `a` where `is_first[i]`, of `b` elsewhere. `[rows, width]`
pub(crate) fn choose(is_first: &[bool], a: &Tensor, b: &Tensor) -> Result<Tensor> {
    match device_of([a, b]) {
        None => by_dtype!(a, T => cpu::rows::choose::<T>(is_first, a, b)),
        Some(device) => {
            device::rows::choose(is_first, &a.on(device)?, &b.on(device)?).map(Tensor::from)
        }
    }
}

/// Returns `a ⊙ b` of the same shape.
pub(crate) fn multiply(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    match device_of([a, b]) {
        None => by_dtype!(a, T => cpu::rows::combine::<T>(a, b, |a, b| a * b)),
        Some(device) => {
            device::rows::combined("multiply", &a.on(device)?, &b.on(device)?).map(Tensor::from)
        }
    }
}

/// Returns `x · scale`.
pub(crate) fn scale(x: &Tensor, scale: f64) -> Result<Tensor> {
    match x.device() {
        None => cpu::rows::scale(x, scale),
        Some(device) => device::rows::each_with("scale", &x.on(device)?, scale).map(Tensor::from),
    }
}

/// Returns `sum + scale · b`, or `scale · b` if there is no sum yet.
pub(crate) fn add_scaled(sum: Option<&Tensor>, b: &Tensor, scale: f64) -> Result<Tensor> {
    let Some(device) = device_of([sum.unwrap_or(b), b]) else {
        return by_dtype!(b, T => {
            let scale = <T as WithDType>::from_f64(scale);
            match sum {
                Some(sum) => cpu::rows::combine::<T>(sum, b, |sum, b| sum + scale * b),
                None => cpu::rows::combine::<T>(b, b, |_, b| scale * b),
            }
        });
    };
    let b = b.on(device)?;
    let Some(sum) = sum else {
        return device::rows::each_with("scale", &b, scale).map(Tensor::from);
    };
    device::rows::combined_with("add_scaled", [&sum.on(device)?, &b], scale).map(Tensor::from)
}
