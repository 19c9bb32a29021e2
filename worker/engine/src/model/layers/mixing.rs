//! The common part of self-attention and cross-attention: heads that mix values, and the output
//! projection that maps the mixed values back to the residual stream.

use std::ops::Range;

use candle_core::Tensor;

use super::Cotangents;
use super::linear::Linear;
use crate::Error;
use crate::error::Result;
use crate::kernels::attention::{
    self, AttentionCotangents, AttentionTrace, Heads, KeyHeads, Projections,
};
use crate::kernels::score_bias::ScoreBias;
use crate::model::dropout::Masks;
use crate::model::spec::AttentionSpec;
use crate::model::weights::Checkpoint;

/// The heads of an attention and its output projection.
#[derive(Debug)]
pub(super) struct Mixing {
    heads: Heads,
    output: Linear,
}

impl Mixing {
    /// Reads the output projection's weights.
    pub(super) fn load(
        spec: &AttentionSpec,
        hidden: usize,
        checkpoint: &Checkpoint,
    ) -> Result<Self, Error> {
        let width = spec.heads * spec.head_dim;
        Ok(Self {
            heads: heads(spec),
            output: Linear::load(&[(&spec.output, hidden)], width, checkpoint)?,
        })
    }

    /// Returns the head configuration that kernels take.
    pub(super) fn heads(&self) -> Heads {
        self.heads
    }

    /// Returns the width of the queries, and that of the keys; values are as wide as keys.
    pub(super) fn widths(&self) -> (usize, usize) {
        let Heads {
            queries, keys, dim, ..
        } = self.heads;
        (queries * dim, keys * dim)
    }

    /// Attends from the query rows of each sequence to its key rows, with dropout masks on the
    /// weights. `[query rows, hidden]`
    pub(super) fn forward(
        &self,
        projections: Projections,
        sequences: impl Iterator<Item = (Range<usize>, Range<usize>)>,
        bias: Option<&ScoreBias>,
        masks: &mut Masks<'_>,
    ) -> Result<(Tensor, AttentionTrace)> {
        let (sequences, _) = attention::lay_out(self.heads, sequences);
        let (mut mixed, mut attended) =
            attention::forward(self.heads, projections, sequences, bias)?;
        if let Some(mask) = masks.draw_for_weights(&attended)? {
            (mixed, attended) = attended.masked(mask)?;
        }
        Ok((self.output.forward(&mixed)?, attended))
    }

    /// Returns what a value would add to a row's output at an attention weight of 1, for each
    /// query head; `None` for heads that are not among `key_heads`. `[key rows, hidden]` each
    pub(super) fn value_outputs(
        &self,
        attended: &AttentionTrace,
        key_heads: KeyHeads<'_>,
    ) -> Result<Vec<Option<Tensor>>> {
        attention::value_outputs(attended, key_heads, |values, columns| {
            self.output.forward_of(values, columns)
        })
    }

    /// Pulls cotangents of the output back to queries, keys and values.
    pub(super) fn vjp(
        &self,
        saved: &AttentionTrace,
        dy: &Cotangents,
    ) -> Result<AttentionCotangents> {
        attention::vjp(saved, &dy.explained, &self.output.vjp(&dy.rows)?)
    }
}

/// Returns the head configuration that kernels take.
fn heads(spec: &AttentionSpec) -> Heads {
    let AttentionSpec {
        heads: queries,
        kv_heads: keys,
        head_dim: dim,
        scale,
        causal,
        window,
        softcap,
        ..
    } = *spec;
    Heads {
        queries,
        keys,
        dim,
        scale,
        causal,
        window,
        softcap,
    }
}
