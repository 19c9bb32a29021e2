//! A linear map `y = x Wᵀ + b`, prepared for fast products in both directions.
//!
//! Projections of the same input are stacked into one map, so that one product serves them all. The
//! weight is kept packed only; the second packing, for cotangents, is made when first needed: a
//! method without gradients never pays for it.

use std::ops::Range;
use std::sync::OnceLock;

use candle_core::Tensor;

use crate::error::Result;

use crate::Error;
use crate::kernels::linear::PackedWeight;
use crate::model::spec::LinearSpec;
use crate::model::weights::Checkpoint;

/// A linear map.
#[derive(Debug)]
pub(in crate::model) struct Linear {
    /// For `x Wᵀ`.
    forward: PackedWeight,
    /// For `dy W`.
    backward: OnceLock<PackedWeight>,
    /// `[out]`
    bias: Option<Tensor>,
    outputs: usize,
}

impl Linear {
    /// Reads maps of the same `inputs` inputs, each with its number of outputs, and stacks them.
    pub(super) fn load(
        parts: &[(&LinearSpec, usize)],
        inputs: usize,
        checkpoint: &Checkpoint,
    ) -> Result<Self, Error> {
        let mut weights = Vec::with_capacity(parts.len());
        let mut biases = Vec::with_capacity(parts.len());
        for (spec, outputs) in parts {
            weights.push(checkpoint.tensor(&format!("{}.weight", spec.name), &[*outputs, inputs])?);
            if spec.bias {
                biases.push(checkpoint.tensor(&format!("{}.bias", spec.name), &[*outputs])?);
            }
        }
        let bias = if biases.is_empty() {
            None
        } else {
            Some(Tensor::cat(&biases, 0)?)
        };
        Ok(Self::from_weight(&Tensor::cat(&weights, 0)?, bias)?)
    }

    /// Prepares a weight, `[out, in]`.
    pub(in crate::model) fn from_weight(weight: &Tensor, bias: Option<Tensor>) -> Result<Self> {
        let (outputs, _) = weight.dims2()?;
        Ok(Self {
            forward: PackedWeight::transposed(weight)?,
            backward: OnceLock::new(),
            bias,
            outputs,
        })
    }

    /// Returns `x Wᵀ + b`. `[rows, in] → [rows, out]`
    pub(in crate::model) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward.product(x, self.bias.as_ref())
    }

    /// Returns `dy W`. `[rows, out] → [rows, in]`
    pub(in crate::model) fn vjp(&self, dy: &Tensor) -> Result<Tensor> {
        self.vjp_of(dy, 0..self.outputs)
    }

    /// Returns `dy W` for cotangents of the outputs in `outputs` alone. `[rows, outputs] → [rows, in]`
    pub(super) fn vjp_of(&self, dy: &Tensor, outputs: Range<usize>) -> Result<Tensor> {
        self.backward
            .get_or_init(|| self.forward.repacked())
            .product_of(dy, outputs)
    }
}
