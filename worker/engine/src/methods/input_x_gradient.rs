//! `input_x_gradient`: each token's embedding times the gradient at it.
//!
//! `A = x ⊙ ∂F/∂x`, where x is the scaled embedding. Source: Shrikumar et al. 2016,
//! <https://arxiv.org/abs/1605.01713>.
//!
//! Cost: one forward pass for the batch, one backward pass per step.

use serde::{Deserialize, Serialize};

use super::method::{Method, Sink};
use super::support::tokens::{multiply, tokens_of};
use crate::Error;
use crate::aggregate::RawScores;
use crate::batch::Batch;
use crate::gradient;
use crate::kernels::Tensor;
use crate::model::Embedded;
use crate::registry::Describe;

/// Each token's embedding times the gradient at it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct InputXGradient {}

impl Describe for InputXGradient {
    const NAME: &'static str = "input_x_gradient";
    const SUMMARY: &'static str =
        "each token's embedding times the gradient of the attributed function there";
}

impl Method for InputXGradient {
    fn attribute(&self, batch: &Batch<'_>, sink: &dyn Sink) -> Result<(), Error> {
        let embeddings = batch.embeddings()?;
        let pass = batch.forward(&embeddings)?;
        let steps = batch.steps();
        gradient::for_each_step(batch, &pass, &steps, batch.wanted(), |step, gradient| {
            let sequence = steps[step].explained.sequence;
            let times_input = |gradient: Option<Tensor>, embedded: Option<&Embedded>| match (
                gradient, embedded,
            ) {
                (Some(gradient), Some(embedded)) => {
                    multiply(&tokens_of(embedded, sequence, gradient.dim(0)?)?, &gradient).map(Some)
                }
                _ => Ok(None),
            };
            let source = times_input(gradient.source, embeddings.source.as_ref())?;
            let target = times_input(
                batch.at_embeddings(gradient.target)?,
                Some(&embeddings.target),
            )?;
            sink.record(step, RawScores { source, target })
        })
    }

    fn default_aggregators(&self) -> &'static [&'static str] {
        &["vnorm"]
    }
}
