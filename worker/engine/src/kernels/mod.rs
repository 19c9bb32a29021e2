//! Where the time goes, and the only place that sees the elements of a tensor.
//!
//! A kernel is a function whose contract is written in tensors and their shapes. Layers, gradients
//! and methods call kernels and nothing else, so that a device can be put behind them. A file here
//! holds the contract and the formula of an operation, and one match on where its operands lie; `cpu`
//! holds its loops over slices, `device` its kernels for devices, which `driver` runs.
//!
//! A kernel's result for a row depends on that row and on what all rows share, never on the rows
//! beside it, the number of threads, or where a batch was cut. Every sum therefore runs in an order
//! fixed by its length alone. That is what makes tables of the same job equal byte for byte.
//!
//! `tensor` is what all of them speak of, `place` is where it lies; `host` is the door: numbers enter
//! and leave tensors there.

pub(crate) mod activation;
pub(crate) mod activation_function;
mod aggregation;
pub(crate) mod attention;
pub(crate) mod clip;
mod cpu;
mod device;
pub(crate) mod distance;
mod driver;
pub(crate) mod dropout;
pub(crate) mod host;
pub(crate) mod linear;
mod metric;
pub(crate) mod mixture;
pub(crate) mod neighbours;
pub(crate) mod norm;
mod place;
pub(crate) mod reduction;
pub(crate) mod rotary;
pub(crate) mod routing;
mod row_index;
pub(crate) mod rows;
mod scaling;
pub(crate) mod score_bias;
pub(crate) mod softcap;
mod tensor;
mod turn;
pub(crate) mod turning;

#[cfg(test)]
mod conformance;

pub(crate) use cpu::exp::softmax_in_place;
pub use place::{DeviceChoice, DeviceError, Place, UnknownDevice};
pub(crate) use row_index::RowIndex;
pub use tensor::Tensor;

/// Returns the numerics class of this machine's main memory.
pub fn numerics_class() -> String {
    Place::memory().numerics_class()
}
