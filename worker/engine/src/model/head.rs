//! The language-model head: hidden states to logits, and cotangents back.

use crate::error::Result;

use super::layers::Linear;
use super::spec::{HeadBias, HeadWeight, ModelSpec};
use super::weights::Checkpoint;
use crate::Error;
use crate::kernels::{Tensor, rows, softcap};

/// The language-model head with its weights.
#[derive(Debug)]
pub(super) struct Head {
    /// From the residual stream to the width of the head's weight, if the two differ.
    projection: Option<Linear>,
    linear: Linear,
    /// Factor of the hidden states before the weight.
    scale: f64,
    /// Soft cap of the logits, `c` in `c · tanh(logit / c)`.
    softcap: Option<f64>,
}

impl Head {
    /// Reads the head's weights. If the head is tied, its weight is `embedding`,
    /// `[vocabulary, embedding width]`.
    pub(super) fn load(
        spec: &ModelSpec,
        embedding: &Tensor,
        checkpoint: &Checkpoint,
    ) -> Result<Self, Error> {
        let projection = spec.head.projection.as_ref();
        let width = projection.map_or(spec.hidden, |projection| projection.width);
        let own = match &spec.head.weight {
            HeadWeight::OwnOrTied(name) if !checkpoint.contains(name) => None,
            HeadWeight::Own(name) | HeadWeight::OwnOrTied(name) => {
                Some(checkpoint.weight(name, &[spec.vocabulary, width])?.into())
            }
        };
        let bias = match &spec.head.bias {
            Some(HeadBias::Linear(name)) => Some(checkpoint.parameter(name, &[spec.vocabulary])?),
            Some(HeadBias::FinalLogits(name)) if checkpoint.contains(name) => {
                let bias = checkpoint.parameter(name, &[1, spec.vocabulary])?;
                Some(bias.reshape(spec.vocabulary)?)
            }
            Some(HeadBias::FinalLogits(_)) | None => None,
        };
        Ok(Self {
            projection: projection
                .map(|p| Linear::load(&[(&p.linear, p.width)], spec.hidden, checkpoint))
                .transpose()?,
            linear: Linear::from_weight(own.as_ref().unwrap_or(embedding), bias, checkpoint)?,
            scale: spec.head.scale,
            softcap: spec.head.softcap,
        })
    }

    /// Returns the logits of hidden states. `[rows, hidden] → [rows, vocabulary]`
    pub(super) fn forward(&self, hidden: &Tensor) -> Result<Tensor> {
        let hidden = self.projected(hidden)?;
        let logits = self.linear.forward(&self.scaled(&hidden)?)?;
        match self.softcap {
            Some(cap) => softcap::bound(&logits, cap),
            None => Ok(logits),
        }
    }

    /// Returns hidden states projected to the width of the head: transformers' last hidden states.
    /// `[rows, hidden] → [rows, embedding width]`
    pub(super) fn projected(&self, hidden: &Tensor) -> Result<Tensor> {
        match &self.projection {
            Some(projection) => projection.forward(hidden),
            None => Ok(hidden.clone()),
        }
    }

    /// Pulls cotangents of `logits` back to the hidden states.
    /// `[rows, vocabulary] → [rows, hidden]`
    pub(super) fn vjp(&self, logits: &Tensor, dlogits: &Tensor) -> Result<Tensor> {
        let dhidden = match self.softcap {
            Some(cap) => self.linear.vjp(&softcap::vjp(logits, dlogits, cap)?)?,
            None => self.linear.vjp(dlogits)?,
        };
        let dhidden = self.scaled(&dhidden)?;
        match &self.projection {
            Some(projection) => projection.vjp(&dhidden),
            None => Ok(dhidden),
        }
    }

    fn scaled(&self, hidden: &Tensor) -> Result<Tensor> {
        if self.scale == 1.0 {
            return Ok(hidden.clone());
        }
        rows::add_scaled(None, hidden, self.scale)
    }
}
