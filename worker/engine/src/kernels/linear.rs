//! Products of rows with a packed weight.

use std::ops::Range;

use candle_core::{DType, Error};

use super::cpu;
use super::cpu::gemm::Packed;
use super::tensor::Tensor;
use crate::error::Result;

/// A weight as the `[k, n]` factor of a product, packed once for the precision it computes in.
#[derive(Debug)]
pub(crate) enum PackedWeight {
    /// Single precision.
    F32(Packed<f32>),
    /// Double precision.
    F64(Packed<f64>),
}

impl PackedWeight {
    /// Packs `weight`, `[out, in]`, as the factor of `x Wᵀ`, to compute in `dtype`. A weight of half
    /// precision stays in half precision.
    pub(crate) fn transposed(weight: &Tensor, dtype: DType) -> Result<Self> {
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
        }
    }
}
