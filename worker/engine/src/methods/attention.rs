//! `attention`: the attention weights between the row that predicts a token and its inputs.
//!
//! Raw scores are `[token, layer, head]`: cross-attention weights for the source, self-attention
//! weights for the prefix. `layers` and `heads` select some of them, in the order given. On request
//! the self-attention among the encoder's tokens is recorded too, and that of the decoder if the
//! prefix is not attributed. The attributed function has no effect.
//!
//! Each step uses the pass over its own prefix. This matters in models with longrope, which rotate
//! all tokens of a long text differently. Inseq takes all steps from the pass over the longest
//! prefix, and so does `compat`.
//!
//! Cost: one forward pass for the batch.

use crate::error::Result;
use crate::kernels::Tensor;
use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::method::{Method, Requirements, Sink, StepPass, wrong_parameters};
use super::support::self_scores::SelfScores;
use crate::Error;
use crate::aggregate::RawScores;
use crate::batch::Batch;
use crate::kernels::attention::{AttentionTrace, QueryRow, weights_of_query};
use crate::model::Transformer;
use crate::registry::Describe;
use crate::sides::Side;

/// Attention weights of every layer and head.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Attention {
    /// Indices of the layers to keep; all when absent.
    pub layers: Option<Vec<usize>>,
    /// Indices of the heads to keep; all when absent.
    pub heads: Option<Vec<usize>>,
    /// Record the attention among the encoder's tokens, as `encoder_self_attentions`. When absent,
    /// only with `compat`, as in Inseq.
    pub output_encoder_self_scores: Option<bool>,
    /// Record the attention among the decoder's tokens, as `decoder_self_attentions`, if the prefix
    /// is not attributed. The default is the same.
    pub output_decoder_self_scores: Option<bool>,
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
        let (own, cross) = (self.keep(&own)?, self.keep(&cross)?);
        for (index, step) in batch.steps().iter().enumerate() {
            let target = if batch.attributes_target() {
                Some(own.weights(QueryRow::at_prefix(step))?)
            } else {
                None
            };
            let source = if batch.model.has_encoder() {
                Some(cross.weights(QueryRow::at_source(step))?)
            } else {
                None
            };
            sink.record(index, RawScores { source, target })?;
        }
        let name = |side| match side {
            Side::Source => "encoder_self_attentions",
            Side::Target => "decoder_self_attentions",
        };
        self.self_scores().record(batch, sink, name, |side, rows| {
            let encoder = match side {
                Side::Source => Some(self.keep(&trace.encoder_attentions().collect::<Vec<_>>())?),
                Side::Target => None,
            };
            let kept = encoder.as_ref().unwrap_or(&own);
            rows.iter().map(|row| Ok(kept.weights(*row)?)).collect()
        })
    }

    fn default_aggregators(&self) -> &'static [&'static str] {
        &["mean", "mean"]
    }

    fn requirements(&self, compat: Compat) -> Requirements<'_> {
        Requirements {
            sequence_scores: self.self_scores().any(compat),
            step_pass: StepPass::of_final_step(compat),
            ..Requirements::PASSES
        }
    }

    fn check(&self, model: &Transformer) -> Result<(), Error> {
        self.self_scores().check(model, Self::NAME)
    }
}

impl Attention {
    fn self_scores(&self) -> SelfScores {
        SelfScores {
            encoder: self.output_encoder_self_scores,
            decoder: self.output_decoder_self_scores,
        }
    }

    /// Selects the layers and heads to keep. Fails if one of them does not exist.
    fn keep<'a>(&self, layers: &[&'a AttentionTrace]) -> Result<Kept<'a>, Error> {
        let Some(first) = layers.first() else {
            return Ok(Kept::default());
        };
        let heads = chosen(self.heads.as_deref(), first.heads.queries, "head")?;
        let kept = chosen(self.layers.as_deref(), layers.len(), "layer")?;
        Ok(Kept {
            layers: kept.into_iter().map(|layer| layers[layer]).collect(),
            heads,
        })
    }
}

/// The selected layers and heads of one stack.
#[derive(Default)]
struct Kept<'a> {
    layers: Vec<&'a AttentionTrace>,
    heads: Vec<usize>,
}

/// Returns the indices in `wanted`, or all below `count` when absent. Fails if an index is not
/// below `count`.
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

impl Kept<'_> {
    /// Returns the weights with which a query row attends to its tokens. `[tokens, layers, heads]`
    fn weights(&self, row: QueryRow) -> Result<Tensor> {
        weights_of_query(&self.layers, &self.heads, row)
    }
}
