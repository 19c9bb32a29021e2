//! Products of rows with a packed weight.

use std::ops::Range;

use candle_core::{DType, Error};

use super::cpu;
use super::cpu::gemm::Packed;
use super::device::linear::Factor;
use super::tensor::Tensor;
use crate::error::Result;

/// A weight as the `[k, n]` factor of a product, packed once for the precision it computes in. A
/// weight that lies on a device is not packed, and products with it are computed there.
#[derive(Debug)]
pub(crate) enum PackedWeight {
    /// Single precision.
    F32(Packed<f32>),
    /// Double precision.
    F64(Packed<f64>),
    /// On a device, in either.
    Device(Factor),
}

impl PackedWeight {
    /// Packs `weight`, `[out, in]`, as the factor of `x Wᵀ`, to compute in `dtype`. A weight of half
    /// precision stays in half precision.
    pub(crate) fn transposed(weight: &Tensor, dtype: DType) -> Result<Self> {
        if let Some(device) = weight.device() {
            return Ok(Self::Device(Factor::transposed(weight.on(device)?, dtype)));
        }
        match dtype {
            DType::F32 => Ok(Self::F32(cpu::linear::pack(weight)?)),
            DType::F64 => Ok(Self::F64(cpu::linear::pack(weight)?)),
            dtype => Err(Error::UnsupportedDTypeForOp(dtype, "whence linear").bt()),
        }
    }

    /// Packs the transpose: the factor of `dy W`.
    pub(crate) fn repacked(&self) -> Self {
        match self {
            Self::F32(packed) => Self::F32(packed.repacked()),
            Self::F64(packed) => Self::F64(packed.repacked()),
            Self::Device(factor) => Self::Device(factor.turned()),
        }
    }

    /// Returns `x B + bias`. `[rows, k] → [rows, n]`
    pub(crate) fn product(&self, x: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let (_, depth) = x.dims2()?;
        self.multiply(x, 0..depth, bias)
    }

    /// Returns `x B[depth, :]`. `[rows, depth] → [rows, n]`
    pub(crate) fn product_of(&self, x: &Tensor, depth: Range<usize>) -> Result<Tensor> {
        self.multiply(x, depth, None)
    }

    fn multiply(&self, x: &Tensor, depth: Range<usize>, bias: Option<&Tensor>) -> Result<Tensor> {
        match self {
            Self::F32(packed) => cpu::linear::multiply(packed, x, depth, bias),
            Self::F64(packed) => cpu::linear::multiply(packed, x, depth, bias),
            Self::Device(factor) => {
                let device = factor.device();
                let bias = bias.map(|bias| bias.on(device)).transpose()?;
                let product = factor.product(&x.on(device)?, depth, bias.as_ref())?;
                Ok(product.into())
            }
        }
    }
}
