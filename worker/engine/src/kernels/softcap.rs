//! Soft caps: `y = c · tanh(x / c)`, as Gemma 2 applies to logits and attention scores.

use super::cpu::{self, by_dtype};
use super::tensor::Tensor;
use crate::error::Result;

/// Bounds every value of `x`. `[rows, width]`
pub(crate) fn bound(x: &Tensor, cap: f64) -> Result<Tensor> {
    by_dtype!(x, T => cpu::softcap::bound::<T>(x, cap))
}

/// Pulls `dy` back to the values that were bounded to `y`: `dx = dy · (1 − (y / c)²)`. `[rows, width]`
pub(crate) fn vjp(y: &Tensor, dy: &Tensor, cap: f64) -> Result<Tensor> {
    by_dtype!(y, T => cpu::softcap::vjp::<T>(y, dy, cap))
}
