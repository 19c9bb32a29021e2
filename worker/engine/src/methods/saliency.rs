//! `saliency`: the gradient of the attributed function at each token's embedding.
//!
//! `A = |∂F/∂x|` element by element, or the signed gradient. Source: Simonyan et al. 2013,
//! <https://arxiv.org/abs/1312.6034>.
//!
//! Cost: one forward pass for the batch, one backward pass per step.

use serde::{Deserialize, Serialize};

use super::method::{Method, Sink};
use crate::Error;
use crate::aggregate::RawScores;
use crate::batch::Batch;
use crate::gradient;
use crate::kernels::rows;
use crate::registry::Describe;

/// The gradient at each token's embedding.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Saliency {
    /// Take absolute values; otherwise gradients keep their sign.
    pub abs: bool,
}

impl Default for Saliency {
    fn default() -> Self {
        Self { abs: true }
    }
}

impl Describe for Saliency {
    const NAME: &'static str = "saliency";
    const SUMMARY: &'static str = "gradient of the attributed function at each token's embedding";
}

impl Method for Saliency {
    fn attribute(&self, batch: &Batch<'_>, sink: &dyn Sink) -> Result<(), Error> {
        let pass = batch.forward(&batch.embeddings()?)?;
        let steps = batch.steps();
        gradient::for_each_step(batch, &pass, &steps, batch.wanted(), |step, gradient| {
            let mut scores = RawScores {
                source: gradient.source,
                target: batch.at_embeddings(gradient.target)?,
            };
            if self.abs {
                scores.source = scores.source.as_ref().map(rows::absolute).transpose()?;
                scores.target = scores.target.as_ref().map(rows::absolute).transpose()?;
            }
            sink.record(step, scores)
        })
    }

    fn default_aggregators(&self) -> &'static [&'static str] {
        &["vnorm"]
    }
}
