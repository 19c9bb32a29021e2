//! `value_zeroing`: how much a layer's output changes when the value vector of one token is set to
//! zero in it.
//!
//! Let h be the output of layer ℓ at the row that predicts the token, and h̃ₖ the same with the
//! value of token k zeroed in layer ℓ. Then `c(ℓ, k) = 1 − cos(h, h̃ₖ)`; values below 1e-5 are
//! taken as 0, and the result is divided by its sum over k. Raw scores are `[token, layer]`: from
//! cross-attention for the source, from self-attention for the prefix. On request the scores of the
//! encoder's tokens for each other are recorded too, and those of the decoder's if the prefix is
//! not attributed. The attributed function has no effect. Source: Mohebbi et al. 2023,
//! <https://arxiv.org/abs/2301.12971>.
//!
//! Each layer reads its unchanged input, so layers are independent. Within a layer, the output of
//! attention changes by a sum over heads that is known beforehand (`model::zeroing`). Cost: one
//! forward pass for the batch and, for each layer, the rest of the layer after attention on one row
//! per pair of step and token (in the encoder, per pair of tokens). Inseq runs one whole forward
//! pass per token.
//!
//! `euclidean` is the distance between h and h̃ₖ; in Inseq it crashes. For the topmost layer, h is
//! the input of the head, after the final norm and the projection to the head's width. In models
//! that share key heads, `…_zeroed_units_indices` select key heads, as in Inseq.
//!
//! Each step uses the pass over its own prefix. This matters in models with longrope, which rotate
//! all tokens of a long text differently. Inseq takes all steps from the pass over the longest
//! prefix, and so does `compat`.

mod units;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::method::{Method, Requirements, Sink, StepPass, wrong_parameters};
use super::support::self_scores::SelfScores;
use crate::Error;
use crate::aggregate::RawScores;
use crate::batch::{Batch, ExplainedStep};
use crate::kernels::attention::{Pair, QueryRow};
use crate::kernels::distance::{self, Distance};
use crate::kernels::{Tensor, host};
use crate::model::Transformer;
use crate::model::hooks::Recorded;
use crate::model::zeroing::{AttentionKind, Streams, Zeroable};
use crate::registry::Describe;
use crate::sides::Side;
use units::{Chosen, Units};

/// Scores below this count as 0. The value is Inseq's.
const SMALLEST_SCORE: f64 = 1e-5;

/// How much each layer's output changes when one token's value is zero.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ValueZeroing {
    /// How outputs are compared.
    pub similarity_metric: Metric,
    /// Heads to zero in the decoder's self-attention: all when absent, otherwise an index, a list,
    /// a range `"first:end"`, or an object with one of these per layer index. Layers missing from
    /// the object are left unchanged.
    pub decoder_zeroed_units_indices: Option<Units>,
    /// Heads to zero in cross-attention.
    pub cross_zeroed_units_indices: Option<Units>,
    /// Heads to zero in the encoder's self-attention.
    pub encoder_zeroed_units_indices: Option<Units>,
    /// Record the scores of the encoder's tokens for each other, as `encoder_self_scores`. When
    /// absent, only with `compat`, as in Inseq.
    pub output_encoder_self_scores: Option<bool>,
    /// Record the scores of the decoder's tokens for each other, as `decoder_self_scores`, if the
    /// prefix is not attributed. The default is the same.
    pub output_decoder_self_scores: Option<bool>,
}

/// How outputs are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Metric {
    /// One minus their cosine similarity.
    #[default]
    Cosine,
    /// Their Euclidean distance.
    Euclidean,
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
        let scores = |kind: AttentionKind, row: fn(&ExplainedStep) -> QueryRow, is_wanted: bool| {
            if !is_wanted {
                return Ok(vec![None; steps.len()]);
            }
            let rows: Vec<_> = steps.iter().map(row).collect();
            let scores = self.scores(batch, &recorded, kind, &rows)?;
            Ok::<_, Error>(scores.into_iter().map(Some).collect())
        };
        let has_source = batch.model.has_encoder();
        let source = scores(AttentionKind::Across, QueryRow::at_source, has_source)?;
        let own = AttentionKind::Own(Side::Target);
        let target = scores(own, QueryRow::at_prefix, batch.attributes_target())?;
        let sides = source.into_iter().zip(target).enumerate();
        for (step, (source, target)) in sides {
            sink.record(step, RawScores { source, target })?;
        }
        let name = |side| match side {
            Side::Source => "encoder_self_scores",
            Side::Target => "decoder_self_scores",
        };
        self.self_scores().record(batch, sink, name, |side, rows| {
            self.scores(batch, &recorded, AttentionKind::Own(side), rows)
        })
    }

    fn validate(&self) -> Result<(), String> {
        let kinds = [
            &self.encoder_zeroed_units_indices,
            &self.decoder_zeroed_units_indices,
            &self.cross_zeroed_units_indices,
        ];
        kinds.into_iter().flatten().try_for_each(Units::validate)
    }

    fn default_aggregators(&self) -> &'static [&'static str] {
        &["mean"]
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

impl ValueZeroing {
    fn self_scores(&self) -> SelfScores {
        SelfScores {
            encoder: self.output_encoder_self_scores,
            decoder: self.output_decoder_self_scores,
        }
    }

    /// Returns the scores of the tokens that each query row attends to, one table per row.
    /// `[tokens, layers]`
    fn scores(
        &self,
        batch: &Batch<'_>,
        recorded: &Recorded,
        kind: AttentionKind,
        rows: &[QueryRow],
    ) -> Result<Vec<Tensor>, Error> {
        let pairs_of = |row: &QueryRow| {
            let row = *row;
            (0..row.tokens).map(move |key| Pair {
                sequence: row.sequence,
                query: row.position,
                key,
            })
        };
        let pairs: Vec<Pair> = rows.iter().flat_map(pairs_of).collect();
        let attentions = batch.model.attentions_of(kind);
        let mut layers = Vec::with_capacity(attentions.len());
        for &(layer, sublayer, attention) in &attentions {
            let chosen = Chosen::new(self.units(kind), layer, attention)
                .map_err(|reason| wrong_parameters(Self::NAME, reason))?;
            layers.push(match chosen.heads() {
                None => vec![0.0; pairs.len()],
                Some(heads) => {
                    let place = (kind.stack(), sublayer);
                    let layer = batch.model.zeroable(recorded, place, heads)?;
                    self.moved(&layer, &pairs, batch.sizes.pass_rows)?
                }
            });
        }
        let mut first = 0;
        let of_row = |row: &QueryRow| {
            let pairs = first..first + row.tokens;
            first = pairs.end;
            let columns = layers.iter().map(|moved| shares(&moved[pairs.clone()]));
            table(&columns.collect::<Vec<_>>(), row.tokens)
        };
        rows.iter().map(of_row).collect()
    }

    /// Returns the heads to zero in attentions of this kind.
    fn units(&self, kind: AttentionKind) -> Option<&Units> {
        match kind {
            AttentionKind::Own(Side::Source) => self.encoder_zeroed_units_indices.as_ref(),
            AttentionKind::Own(Side::Target) => self.decoder_zeroed_units_indices.as_ref(),
            AttentionKind::Across => self.cross_zeroed_units_indices.as_ref(),
        }
    }

    /// Returns for each pair how much the layer's output at the query changes when the value of the
    /// key is zeroed. `rows` pairs are computed at a time.
    fn moved(&self, layer: &Zeroable<'_>, pairs: &[Pair], rows: usize) -> Result<Vec<f64>, Error> {
        let chunks = pairs.par_chunks(rows).map(|pairs| {
            let Streams { clean, zeroed } = layer.streams(pairs)?;
            let distance = self.similarity_metric.distance();
            host::download(&distance::between_rows(&clean, &zeroed, distance)?)
        });
        Ok(chunks.collect::<Result<Vec<_>, _>>()?.concat())
    }
}

impl Metric {
    fn distance(self) -> Distance {
        match self {
            Self::Cosine => Distance::Cosine,
            Self::Euclidean => Distance::Euclidean,
        }
    }
}

/// Divides scores by their sum, after setting those below [`SMALLEST_SCORE`] to 0.
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

/// Transposes the columns of the layers into rows of tokens. `[tokens, layers]`
fn table(layers: &[Vec<f64>], tokens: usize) -> Result<Tensor, Error> {
    let rows = (0..tokens).flat_map(|token| layers.iter().map(move |layer| layer[token]));
    Ok(host::upload(
        rows.collect::<Vec<f64>>(),
        (tokens, layers.len()),
    )?)
}
