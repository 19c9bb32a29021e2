//! Weights packed in main memory, and products with them.

use std::ops::Range;

use candle_core::DType;
use half::{bf16, f16};

use super::gemm::{Halves, Packed};
use super::real::Real;
use super::slices::{View, tensor};
use crate::error::Result;
use crate::kernels::tensor::Tensor;

/// Packs `weight`, `[out, in]`, as the factor of `x Wᵀ`.
pub(in crate::kernels) fn pack<T: Real>(weight: &Tensor) -> Result<Packed<T>> {
    let (n, k) = weight.dims2()?;
    Ok(match weight.dtype() {
        DType::F16 => {
            let halves = View::<f16>::of(weight)?;
            Packed::halves_transposed(Halves::F16(&halves), n, k)
        }
        DType::BF16 => {
            let halves = View::<bf16>::of(weight)?;
            Packed::halves_transposed(Halves::BF16(&halves), n, k)
        }
        _ => Packed::transposed(&View::<T>::of(weight)?, n, k),
    })
}

/// Returns `x B[depth, :] + bias` for the packed factor `B`. `[rows, depth] → [rows, n]`
pub(in crate::kernels) fn multiply<T: Real>(
    packed: &Packed<T>,
    x: &Tensor,
    depth: Range<usize>,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let (rows, _) = x.dims2()?;
    let bias = bias.map(View::<T>::of).transpose()?;
    let product = packed.product(&View::<T>::of(x)?, depth, bias.as_deref());
    tensor(product, (rows, packed.columns()))
}
