//! `attention`: the attention weights with which the row that predicts a token looks at its inputs.
//!
//! Raw scores are `[token, layer, head]`: of the source through cross-attention, of the prefix
//! through self-attention. `layers` and `heads` choose some of them, in the order they are named.
//! The attributed function plays no part.
//!
//! Cost: one forward pass for the batch.

use candle_core::Tensor;

use crate::error::Result;
use serde::{Deserialize, Serialize};

use super::{Batch, Method, Sink, wrong_parameters};
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
pub(super) struct Attention {
    /// Numbers of the layers to keep; all when absent.
    pub layers: Option<Vec<usize>>,
    /// Numbers of the heads to keep; all when absent.
    pub heads: Option<Vec<usize>>,
}

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
        let num_heads = own.first().map_or(0, |layer| layer.heads.queries);
        let heads = chosen(self.heads.as_deref(), num_heads, "head")?;
        let (own, cross) = (self.keep_layers(own)?, self.keep_layers(cross)?);
        for (index, step) in batch.steps().iter().enumerate() {
            let target = if batch.attributes_target() {
                Some(weights(&own, &heads, step, step.seed.position + 1)?)
            } else {
                None
            };
            let source = if cross.is_empty() {
                None
            } else {
                Some(weights(&cross, &heads, step, step.source_rows)?)
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

impl Attention {
    /// Keeps the layers that are wanted of a side's. Fails if there is no such layer.
    fn keep_layers<'a>(&self, layers: Vec<&'a Attended>) -> Result<Vec<&'a Attended>, Error> {
        if layers.is_empty() {
            return Ok(layers);
        }
        let kept = chosen(self.layers.as_deref(), layers.len(), "layer")?;
        Ok(kept.into_iter().map(|layer| layers[layer]).collect())
    }
}

/// Returns the numbers in `wanted`, or all below `count`. Fails if one is not below it.
fn chosen(wanted: Option<&[usize]>, count: usize, what: &str) -> Result<Vec<usize>, Error> {
    let Some(wanted) = wanted else {
        return Ok((0..count).collect());
    };
    match wanted.iter().find(|number| **number >= count) {
        None if !wanted.is_empty() => Ok(wanted.to_vec()),
        None => {
            let reason = format!("`{what}s` is empty; leave it out to keep every {what}");
            Err(wrong_parameters(Attention::NAME, reason))
        }
        Some(number) => {
            let reason = format!("there is no {what} {number}; the model has {count}");
            Err(wrong_parameters(Attention::NAME, reason))
        }
    }
}

/// Returns the weights of a step's row on the first `tokens` keys. `[tokens, layers, heads]`
fn weights(
    layers: &[&Attended],
    heads: &[usize],
    step: &ExplainedStep,
    tokens: usize,
) -> Result<Tensor> {
    let Some(first) = layers.first() else {
        return Tensor::zeros(
            (tokens, 0, 0),
            candle_core::DType::F32,
            &candle_core::Device::Cpu,
        );
    };
    by_dtype!(first.weights, T => weights_as::<T>(layers, heads, step, tokens))
}

fn weights_as<T: Real>(
    layers: &[&Attended],
    heads: &[usize],
    step: &ExplainedStep,
    tokens: usize,
) -> Result<Tensor> {
    let mut values = vec![T::zero(); tokens * layers.len() * heads.len()];
    for (layer, attended) in layers.iter().enumerate() {
        let all = View::<T>::of(&attended.weights)?;
        let sequence = &attended.sequences[step.seed.sequence];
        let (queries, keys) = (sequence.queries.len(), sequence.keys.len());
        for (place, head) in heads.iter().enumerate() {
            let row = &all[sequence.first_weight + (head * queries + step.seed.position) * keys..]
                [..tokens];
            for (token, &weight) in row.iter().enumerate() {
                values[(token * layers.len() + layer) * heads.len() + place] = weight;
            }
        }
    }
    tensor(values, (tokens, layers.len(), heads.len()))
}
