//! The kernels of a device: each file of Rust launches what the source beside it computes.
//!
//! The sources are written once for every driver (see `prelude.cu`). The wrappers put operands that
//! still lie in main memory on the device, reserve the results, and say how many blocks run. What
//! an operation means stands in the file of its name in the folder above.

pub(in crate::kernels) mod activation;
pub(in crate::kernels) mod array;
pub(in crate::kernels) mod attention;
pub(in crate::kernels) mod handle;
pub(in crate::kernels) mod linear;
pub(in crate::kernels) mod norm;
pub(in crate::kernels) mod reduction;
pub(in crate::kernels) mod rotary;
pub(in crate::kernels) mod rows;

pub(in crate::kernels) use handle::Device;
