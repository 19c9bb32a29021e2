//! `value_zeroing`: how much a layer's output moves when the value of one token is zero in it.
//!
//! With h the stream behind layer ℓ at the row that predicts the token, and h̃ₖ that stream where
//! attention gets nothing from token k in layer ℓ: `c(ℓ, k) = 1 − cos(h, h̃ₖ)`, values below 1e-5
//! taken as 0, divided by their sum over k. Raw scores are `[token, layer]`: of the source by
//! cross-attention, of the prefix by self-attention. The attributed function plays no part. Source:
//! Mohebbi et al. 2023, <https://arxiv.org/abs/2301.12971>.
//!
//! The layer reads its clean input, so layers are independent, and in it the output of attention
//! changes by a sum over heads that is known beforehand (`model::zeroing`). Cost: one forward pass
//! for the batch and, for each layer, the rest of the layer behind attention on a row a pair of
//! step and token; Inseq takes one whole forward pass a token.
//!
//! `euclidean` is the distance of h and h̃ₖ; in Inseq it crashes. Behind the topmost layer h is what
//! the head reads, after the final norm. Where models share key heads, `…_zeroed_units_indices`
//! choose key heads, as in Inseq.

use std::collections::BTreeMap;

use candle_core::Tensor;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Batch, Method, Sink, wrong_parameters};
use crate::Error;
use crate::aggregate::RawScores;
use crate::gradient::ExplainedStep;
use crate::kernels::attention::{KeyHeads, Pair};
use crate::kernels::tensor::{View, by_dtype, tensor};
use crate::model::Transformer;
use crate::model::hooks::Recorded;
use crate::model::spec::CoreSpec;
use crate::model::zeroing::{Streams, Zeroable};
use crate::registry::Describe;
use crate::sides::Side;

/// Scores below this are 0. Inseq's own limit.
const SMALLEST_SCORE: f64 = 1e-5;

/// Norms below this are taken for it. `PyTorch`'s own limit.
const SMALLEST_NORM: f64 = 1e-8;

/// How much each layer's output moves when one token's value is zero.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ValueZeroing {
    /// How outputs are compared.
    pub similarity_metric: Metric,
    /// Heads zeroed in the decoder's self-attention: all when absent, else a number, a list, a
    /// range `"first:end"`, or one of these for each layer by its number; other layers are left.
    pub decoder_zeroed_units_indices: Option<Units>,
    /// Heads zeroed in cross-attention.
    pub cross_zeroed_units_indices: Option<Units>,
}

/// How outputs are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Metric {
    /// One less the cosine of their angle.
    #[default]
    Cosine,
    /// Their distance.
    Euclidean,
}

/// A choice of heads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Units {
    /// The same heads in every layer.
    Every(Heads),
    /// Heads of the layers that are named.
    ByLayer(BTreeMap<usize, Heads>),
}

/// Some heads of a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Heads {
    /// One.
    One(usize),
    /// Several.
    Several(Vec<usize>),
    /// Neighbours, `"first:end"`, the end left out.
    Range(String),
}

impl Heads {
    /// Returns their numbers. Fails for a range that is none.
    fn numbers(&self) -> Result<Vec<usize>, Error> {
        match self {
            Self::One(head) => Ok(vec![*head]),
            Self::Several(heads) => Ok(heads.clone()),
            Self::Range(text) => {
                let range = text.split_once(':').and_then(|(first, end)| {
                    Some(first.trim().parse().ok()?..end.trim().parse().ok()?)
                });
                let wrong = || {
                    let reason = format!("`{text}` is no range of heads; write `first:end`");
                    wrong_parameters(ValueZeroing::NAME, reason)
                };
                Ok(range.ok_or_else(wrong)?.collect())
            }
        }
    }
}

impl Describe for ValueZeroing {
    const NAME: &'static str = "value_zeroing";
    const SUMMARY: &'static str =
        "how much each layer's output moves when a token's value is zero in its attention";
}

impl Method for ValueZeroing {
    fn attribute(&self, batch: &Batch<'_>, sink: &dyn Sink) -> Result<(), Error> {
        let inputs = batch.model_inputs(&batch.embeddings()?)?;
        let recorded = batch.model.forward_recorded(&inputs)?;
        let steps = batch.steps();
        let scores = |side| self.scores(batch, &recorded, &steps, side);
        let source = if batch.model.has_encoder() {
            scores(Side::Source)?.into_iter().map(Some).collect()
        } else {
            vec![None; steps.len()]
        };
        let target = if batch.attributes_target() {
            scores(Side::Target)?.into_iter().map(Some).collect()
        } else {
            vec![None; steps.len()]
        };
        let sides = source.into_iter().zip(target).enumerate();
        for (step, (source, target)) in sides {
            sink.record(step, RawScores { source, target })?;
        }
        Ok(())
    }

    fn default_aggregators(&self) -> &'static [&'static str] {
        &["mean"]
    }

    fn needs_gradient(&self) -> bool {
        false
    }
}

impl ValueZeroing {
    /// Returns the scores of the tokens of one side, a table a step. `[tokens, layers]`
    fn scores(
        &self,
        batch: &Batch<'_>,
        recorded: &Recorded,
        steps: &[ExplainedStep],
        side: Side,
    ) -> Result<Vec<Tensor>, Error> {
        let (model, rows) = (batch.model, batch.pass_rows);
        let tokens = |step: &ExplainedStep| match side {
            Side::Source => step.source_rows,
            Side::Target => step.seed.position + 1,
        };
        let pairs: Vec<Pair> = steps
            .iter()
            .flat_map(|step| {
                (0..tokens(step)).map(|key| Pair {
                    sequence: step.seed.sequence,
                    query: step.seed.position,
                    key,
                })
            })
            .collect();
        let attentions = model.attention_sublayers(side);
        let mut layers = Vec::with_capacity(attentions.len());
        for &(layer, sublayer) in &attentions {
            let moved = match self.heads(model, side, layer, sublayer)? {
                Chosen::None => vec![0.0; pairs.len()],
                Chosen::All => self.moved(
                    &model.zeroable(recorded, sublayer, KeyHeads::All)?,
                    &pairs,
                    rows,
                )?,
                Chosen::Some(heads) => {
                    let heads = KeyHeads::Only(&heads);
                    self.moved(&model.zeroable(recorded, sublayer, heads)?, &pairs, rows)?
                }
            };
            layers.push(moved);
        }
        let mut first = 0;
        let of_step = |step: &ExplainedStep| {
            let rows = first..first + tokens(step);
            first = rows.end;
            let columns = layers.iter().map(|moved| shares(&moved[rows.clone()]));
            table(&columns.collect::<Vec<_>>(), tokens(step))
        };
        steps.iter().map(of_step).collect()
    }

    /// Returns how far the stream of each pair moves without the value of its key, `rows` pairs at once.
    fn moved(&self, layer: &Zeroable<'_>, pairs: &[Pair], rows: usize) -> Result<Vec<f64>, Error> {
        let chunks = pairs.par_chunks(rows).map(|pairs| {
            let streams = layer.streams(pairs)?;
            self.distances(&streams)
        });
        Ok(chunks.collect::<Result<Vec<_>, _>>()?.concat())
    }

    fn distances(&self, Streams { clean, zeroed }: &Streams) -> Result<Vec<f64>, Error> {
        let distances: candle_core::Result<Vec<f64>> = by_dtype!(clean, T => {
            let (_, hidden) = clean.dims2()?;
            let (clean, zeroed) = (View::<T>::of(clean)?, View::<T>::of(zeroed)?);
            let rows = clean.chunks_exact(hidden).zip(zeroed.chunks_exact(hidden));
            let double = candle_core::WithDType::to_f64;
            Ok(rows
                .map(|(clean, zeroed)| {
                    let entries = clean.iter().zip(zeroed);
                    self.distance(entries.map(|(a, b)| (double(*a), double(*b))))
                })
                .collect())
        });
        Ok(distances?)
    }

    /// Returns how far two vectors are apart, entry beside entry.
    fn distance(&self, entries: impl Iterator<Item = (f64, f64)>) -> f64 {
        let (mut dot, mut of_first, mut of_second, mut between) = (0.0, 0.0, 0.0, 0.0);
        for (a, b) in entries {
            dot += a * b;
            of_first += a * a;
            of_second += b * b;
            between += (a - b) * (a - b);
        }
        match self.similarity_metric {
            Metric::Cosine => {
                let norm = |square: f64| square.sqrt().max(SMALLEST_NORM);
                1.0 - dot / (norm(of_first) * norm(of_second))
            }
            Metric::Euclidean => between.sqrt(),
        }
    }

    /// Returns which heads of a layer are zeroed. Fails if it has no such head.
    fn heads(
        &self,
        model: &Transformer,
        side: Side,
        layer: usize,
        sublayer: usize,
    ) -> Result<Chosen, Error> {
        let units = match side {
            Side::Source => &self.cross_zeroed_units_indices,
            Side::Target => &self.decoder_zeroed_units_indices,
        };
        let heads = match units {
            None => return Ok(Chosen::All),
            Some(Units::Every(heads)) => heads.numbers()?,
            Some(Units::ByLayer(layers)) => match layers.get(&layer) {
                Some(heads) => heads.numbers()?,
                None => return Ok(Chosen::None),
            },
        };
        let spec = &model.spec().decoder.sublayers[sublayer];
        let (CoreSpec::SelfAttention(attention) | CoreSpec::CrossAttention(attention)) = &spec.core
        else {
            return Ok(Chosen::None);
        };
        match heads.iter().find(|head| **head >= attention.kv_heads) {
            None => Ok(Chosen::Some(heads)),
            Some(head) => {
                let last = attention.kv_heads - 1;
                let reason = format!("layer {layer} has no value head {head}; its last is {last}");
                Err(wrong_parameters(Self::NAME, reason))
            }
        }
    }
}

/// Which heads of a layer are zeroed.
enum Chosen {
    All,
    None,
    Some(Vec<usize>),
}

/// Divides scores by their sum, those too small to count taken as 0.
fn shares(moved: &[f64]) -> Vec<f64> {
    let counted = moved
        .iter()
        .map(|&score| if score < SMALLEST_SCORE { 0.0 } else { score });
    let counted: Vec<f64> = counted.collect();
    let sum: f64 = counted.iter().sum();
    if sum == 0.0 {
        return counted;
    }
    counted.iter().map(|score| score / sum).collect()
}

/// Turns columns of layers into rows of tokens. `[tokens, layers]`
fn table(layers: &[Vec<f64>], tokens: usize) -> Result<Tensor, Error> {
    let rows = (0..tokens).flat_map(|token| layers.iter().map(move |layer| layer[token]));
    Ok(tensor(rows.collect::<Vec<f64>>(), (tokens, layers.len()))?)
}
