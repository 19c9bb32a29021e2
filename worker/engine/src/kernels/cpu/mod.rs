//! The kernels of main memory: loops over slices, on all threads.
//!
//! Each file has the loops of the operation of the same name, whose contract and formula stand in
//! the file of that name in the folder above. `slices` borrows the elements of tensors; `gemm`
//! multiplies matrices and holds the only `unsafe`; `exp` has the exponential that softmax and
//! nonlinearities are made of; `real` has what the two precisions differ in.

pub(in crate::kernels) mod activation;
pub(in crate::kernels) mod attention;
pub(in crate::kernels) mod clip;
pub(in crate::kernels) mod distance;
pub(in crate::kernels) mod exp;
pub(in crate::kernels) mod gemm;
pub(in crate::kernels) mod linear;
pub(in crate::kernels) mod mixture;
mod nonlinearity;
pub(in crate::kernels) mod norm;
mod pointwise;
pub(in crate::kernels) mod real;
pub(in crate::kernels) mod reduction;
pub(in crate::kernels) mod rotary;
pub(in crate::kernels) mod rows;
mod score_bias;
pub(in crate::kernels) mod slices;
pub(in crate::kernels) mod softcap;

pub(in crate::kernels) use real::Real;
pub(in crate::kernels) use slices::by_dtype;
