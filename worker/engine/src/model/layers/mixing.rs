//! The common part of self-attention and cross-attention: heads that mix values, and the output
//! projection that maps the mixed values back to the residual stream.

use std::ops::Range;

use super::Cotangents;
use super::linear::Linear;
use super::row_context::RowContext;
use crate::Error;
use crate::error::Result;
use crate::kernels::Tensor;
use crate::kernels::attention::{
    self, Attention, AttentionCotangents, AttentionTrace, Heads, KeyHeads, Projections,
};
use crate::kernels::score_bias::ScoreBias;
use crate::model::dropout::Masks;
use crate::model::kept::Kept;
use crate::model::spec::AttentionSpec;
use crate::model::weights::Checkpoint;

/// The heads of an attention and its output projection.
#[derive(Debug)]
pub(super) struct Mixing {
    heads: Heads,
    output: Linear,
}

/// What the heads of an attention read in one pass.
pub(super) struct HeadsRead<'a> {
    pub(super) projections: Projections,
    /// For each sequence of the pass, the rows of its keys and values.
    pub(super) key_rows: Vec<Range<usize>>,
    /// What is added to the scores, if anything.
    pub(super) bias: Option<&'a ScoreBias>,
}

impl Mixing {
    /// Reads the output projection's weights.
    pub(super) fn load(
        spec: &AttentionSpec,
        hidden: usize,
        checkpoint: &Checkpoint,
    ) -> Result<Self, Error> {
        let value_dim = spec.latent.as_ref().map(|latent| latent.value_dim);
        let groups = (
            spec.heads,
            value_dim.unwrap_or(spec.head_dim),
            spec.head_dim,
        );
        let output = if groups.1 == groups.2 {
            Linear::load(&[(&spec.output, hidden)], groups.0 * groups.2, checkpoint)?
        } else {
            Linear::load_padded(&spec.output, hidden, groups, checkpoint)?
        };
        Ok(Self {
            heads: heads(spec),
            output,
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
    /// weights. A pass that does not keep everything has no dropout. `[query rows, hidden]`
    pub(super) fn forward(
        &self,
        read: HeadsRead<'_>,
        rows: &RowContext<'_>,
        masks: &mut Masks<'_>,
    ) -> Result<(Tensor, AttentionTrace)> {
        let sequences = rows.sequences.iter().zip(read.key_rows);
        let (sequences, _) = attention::lay_out(self.heads, sequences);
        let attention = Attention {
            heads: self.heads,
            projections: read.projections,
            sequences,
            bias: read.bias,
            stop: rows.stop,
        };
        if rows.kept != Kept::Everything {
            let (mixed, attended) = attention::forward_unkept(attention)?;
            return Ok((self.output.forward(&mixed)?, attended));
        }
        let (mut mixed, mut attended) = attention::forward(attention)?;
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
