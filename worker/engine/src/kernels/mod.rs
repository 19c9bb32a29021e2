//! Where the time goes: functions on tensors, each a loop over slices.
//!
//! A kernel's result for a row depends on that row and on what all rows share, never on the rows
//! beside it, the number of threads, or where a batch was cut. Every sum therefore runs in an order
//! fixed by its length alone. That is what makes tables of the same job equal byte for byte.
//!
//! `tensor` borrows slices from tensors; `gemm` multiplies matrices and holds the only `unsafe`;
//! `exp` is the exponential everything else is made of; the other files are the layers' loops.

pub(crate) mod activation;
pub(crate) mod activation_function;
pub(crate) mod attention;
pub(crate) mod clip;
pub(crate) mod dropout;
pub(crate) mod exp;
pub(crate) mod gemm;
pub(crate) mod linear;
pub(crate) mod mixture;
pub(crate) mod nonlinearity;
pub(crate) mod norm;
mod pointwise;
pub(crate) mod real;
pub(crate) mod rotary;
pub(crate) mod rows;
pub(crate) mod score_bias;
pub(crate) mod softcap;
pub(crate) mod tensor;

#[cfg(test)]
mod tests;

pub(crate) use exp::{sigmoid, softmax_in_place};
pub(crate) use real::Real;
