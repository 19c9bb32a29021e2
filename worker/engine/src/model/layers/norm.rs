//! A norm with its weights.

use candle_core::Tensor;

use crate::error::Result;

use super::Cotangents;
use crate::Error;
use crate::kernels::norm::{self, Normalized};
use crate::model::spec::{NormKind, NormSpec};
use crate::model::weights::Checkpoint;

/// A norm with its weights.
#[derive(Debug)]
pub(in crate::model) struct Norm {
    weight: Tensor,
    /// Present in layer norms only.
    bias: Option<Tensor>,
    epsilon: f64,
}

impl Norm {
    /// Reads the norm's weights.
    pub(in crate::model) fn load(
        spec: &NormSpec,
        hidden: usize,
        checkpoint: &Checkpoint,
    ) -> Result<Self, Error> {
        let bias = match spec.kind {
            NormKind::Rms => None,
            NormKind::Layer => Some(checkpoint.tensor(&format!("{}.bias", spec.name), &[hidden])?),
        };
        let weight = checkpoint.tensor(&format!("{}.weight", spec.name), &[hidden])?;
        Ok(Self {
            weight,
            bias,
            epsilon: spec.epsilon,
        })
    }

    /// Normalises rows. `[rows, hidden]`
    pub(in crate::model) fn forward(&self, x: &Tensor) -> Result<(Tensor, Normalized)> {
        norm::forward(x, &self.weight, self.bias.as_ref(), self.epsilon)
    }

    /// Pulls cotangents back through the norm.
    pub(in crate::model) fn vjp(&self, saved: &Normalized, dy: &Cotangents) -> Result<Cotangents> {
        Ok(dy.with_rows(norm::vjp(&dy.rows, &self.weight, saved, &dy.saved_rows)?))
    }
}
