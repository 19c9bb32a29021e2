//! Where the time goes, and the only place that sees the elements of a tensor.
//!
//! A kernel is a function whose contract is written in tensors and their shapes; here each is a loop
//! over slices. Layers, gradients and methods call kernels and nothing else, so that a device can be
//! put behind them.
//!
//! A kernel's result for a row depends on that row and on what all rows share, never on the rows
//! beside it, the number of threads, or where a batch was cut. Every sum therefore runs in an order
//! fixed by its length alone. That is what makes tables of the same job equal byte for byte.
//!
//! `host` is the door: numbers enter and leave tensors there. `tensor` borrows slices, for kernels
//! alone; `gemm` multiplies matrices and holds the only `unsafe`; `exp` has the exponential that
//! softmax and nonlinearities are made of; `reduction` is the first aggregator; the other files are
//! the loops of layers and methods.

pub(crate) mod activation;
pub(crate) mod activation_function;
pub(crate) mod attention;
pub(crate) mod clip;
pub(crate) mod distance;
pub(crate) mod dropout;
mod exp;
mod gemm;
pub(crate) mod host;
pub(crate) mod linear;
pub(crate) mod mixture;
pub(crate) mod neighbours;
mod nonlinearity;
pub(crate) mod norm;
mod pointwise;
mod real;
pub(crate) mod reduction;
pub(crate) mod rotary;
mod row_index;
pub(crate) mod rows;
pub(crate) mod score_bias;
pub(crate) mod softcap;
mod tensor;
pub(crate) mod turning;

#[cfg(test)]
mod tests;

/// Returns the numerics class of this machine: workers of one class compute the same bits.
///
/// How a sum is cut depends on the width of the registers alone, so processors with the same
/// instructions are of one class, and others need not agree in the last bit.
pub fn numerics_class() -> String {
    let instructions = gemm::Instructions::best().name();
    format!("{}-{instructions}", std::env::consts::ARCH)
}

use exp::sigmoid;
pub(crate) use exp::softmax_in_place;
use real::Real;
pub(crate) use row_index::RowIndex;
