//! Weights on a device, and products with them.

use std::ops::Range;

use candle_core::DType;

use super::array::Array;
use super::handle::Device;
use super::rows::converted;
use crate::error::Result;
use crate::kernels::driver::{Matrix, Product};

/// A weight on a device, as the factor of `x Wᵀ` or of `dy W`. Both factors are the same memory.
#[derive(Debug, Clone)]
pub(crate) struct Factor {
    /// `[out, in]`; in half precision if the checkpoint keeps it so.
    weight: Array,
    /// Precision of the products: single or double.
    dtype: DType,
    is_transposed: bool,
}

impl Factor {
    /// Takes `weight` as the factor of `x Wᵀ`, to compute in `dtype`.
    pub(in crate::kernels) fn transposed(weight: Array, dtype: DType) -> Self {
        Self {
            weight,
            dtype,
            is_transposed: true,
        }
    }

    pub(in crate::kernels) fn device(&self) -> &Device {
        self.weight.device()
    }

    /// Returns the factor of `dy W`.
    pub(in crate::kernels) fn turned(&self) -> Self {
        Self {
            is_transposed: !self.is_transposed,
            ..self.clone()
        }
    }

    /// Returns `x B[depth, :] + bias` for the factor `B`. `[rows, depth] → [rows, n]`
    ///
    /// A weight of half precision is widened for this product alone.
    pub(in crate::kernels) fn product(
        &self,
        x: &Array,
        depth: Range<usize>,
        bias: Option<&Array>,
    ) -> Result<Array> {
        let (rows, _) = x.shape().dims2()?;
        let (device, dtype) = (x.device(), self.dtype);
        let (outputs, inputs) = self.weight.shape().dims2()?;
        let weight = converted(&self.weight, dtype)?;
        let (columns, first) = if self.is_transposed {
            (outputs, depth.start)
        } else {
            (inputs, depth.start * inputs)
        };
        let out = Array::unwritten(device, (rows, columns), dtype)?;
        device.multiply(&Product {
            precision: dtype,
            rows,
            columns,
            depth: depth.len(),
            a: Matrix {
                first: x.address(),
                stride: depth.len(),
            },
            b: Matrix {
                first: weight.address().offset(first * dtype.size_in_bytes()),
                stride: inputs,
            },
            is_b_transposed: self.is_transposed,
            out: out.address(),
        })?;
        if let Some(bias) = bias {
            let arguments = [(&out).into(), bias.into(), columns.into()];
            device.launch("add_bias", dtype, rows, arguments)?;
        }
        Ok(out)
    }
}
