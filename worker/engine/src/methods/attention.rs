//! `attention`: the attention weights with which the row that predicts a token looks at its inputs.
//!
//! Raw scores are `[token, layer, head]`: of the source through cross-attention, of the prefix
//! through self-attention. The attributed function plays no part.
//!
//! Cost: one forward pass for the batch.

use candle_core::Tensor;

use crate::error::Result;
use serde::{Deserialize, Serialize};

use super::{Batch, Method, Sink};
use crate::Error;
use crate::aggregate::RawScores;
use crate::gradient::ExplainedStep;
use crate::kernels::Real;
use crate::kernels::attention::Attended;
use crate::kernels::tensor::{View, by_dtype, tensor};
use crate::registry::Describe;

/// Attention weights of every layer and head.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Attention {}

impl Describe for Attention {
    const NAME: &'static str = "attention";
    const SUMMARY: &'static str =
        "attention weights of the predicting row, mean over heads and layers";
}

impl Method for Attention {
    fn attribute(&self, batch: &Batch<'_>, sink: &dyn Sink) -> Result<(), Error> {
        let trace = batch
            .model
            .forward(&batch.model_inputs(&batch.embeddings()?)?)?;
        let attentions: Vec<_> = trace.decoder_attentions().collect();
        let (own, cross): (Vec<_>, Vec<_>) = if batch.model.has_encoder() {
            attentions
                .chunks_exact(2)
                .map(|pair| (pair[0], pair[1]))
                .unzip()
        } else {
            (attentions, Vec::new())
        };
        for (index, step) in batch.steps().iter().enumerate() {
            let target = if batch.attributes_target() {
                Some(weights(&own, step, step.seed.position + 1)?)
            } else {
                None
            };
            let source = if cross.is_empty() {
                None
            } else {
                Some(weights(&cross, step, step.source_rows)?)
            };
            sink.record(index, RawScores { source, target })?;
        }
        Ok(())
    }

    fn default_aggregators(&self) -> &'static [&'static str] {
        &["mean", "mean"]
    }

    fn needs_gradient(&self) -> bool {
        false
    }
}

/// Returns the weights of a step's row on the first `tokens` keys. `[tokens, layers, heads]`
fn weights(layers: &[&Attended], step: &ExplainedStep, tokens: usize) -> Result<Tensor> {
    let Some(first) = layers.first() else {
        return Tensor::zeros(
            (tokens, 0, 0),
            candle_core::DType::F32,
            &candle_core::Device::Cpu,
        );
    };
    by_dtype!(first.weights, T => weights_as::<T>(layers, step, tokens))
}

fn weights_as<T: Real>(
    layers: &[&Attended],
    step: &ExplainedStep,
    tokens: usize,
) -> Result<Tensor> {
    let heads = layers.first().map_or(0, |layer| layer.heads.queries);
    let mut values = vec![T::zero(); tokens * layers.len() * heads];
    for (layer, attended) in layers.iter().enumerate() {
        let all = View::<T>::of(&attended.weights)?;
        let sequence = &attended.sequences[step.seed.sequence];
        let (queries, keys) = (sequence.queries.len(), sequence.keys.len());
        for head in 0..heads {
            let row = &all[sequence.first_weight + (head * queries + step.seed.position) * keys..]
                [..tokens];
            for (token, &weight) in row.iter().enumerate() {
                values[(token * layers.len() + layer) * heads + head] = weight;
            }
        }
    }
    tensor(values, (tokens, layers.len(), heads))
}
