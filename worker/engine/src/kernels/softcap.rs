//! Soft caps: `y = c · tanh(x / c)`, as Gemma 2 applies to logits and attention scores.

use super::cpu::{self, by_dtype};
use super::device;
use super::tensor::{Tensor, device_of};
use crate::error::Result;

/// Bounds every value of `x`. `[rows, width]`
pub(crate) fn bound(x: &Tensor, cap: f64) -> Result<Tensor> {
    match x.device() {
        None => by_dtype!(x, T => cpu::softcap::bound::<T>(x, cap)),
        Some(device) => device::rows::each_with("soft_cap", &x.on(device)?, cap).map(Tensor::from),
    }
}

/// Pulls `dy` back to the values that were bounded to `y`: `dx = dy · (1 − (y / c)²)`. `[rows, width]`
pub(crate) fn vjp(y: &Tensor, dy: &Tensor, cap: f64) -> Result<Tensor> {
    let Some(device) = device_of([y, dy]) else {
        return by_dtype!(y, T => cpu::softcap::vjp::<T>(y, dy, cap));
    };
    let (y, dy) = (y.on(device)?, dy.on(device)?);
    device::rows::combined_with("soft_cap_vjp", [&y, &dy], cap).map(Tensor::from)
}
