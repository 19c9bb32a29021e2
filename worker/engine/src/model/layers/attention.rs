//! Self-attention with its weights: the rows of a stack attend to each other.

use crate::error::Result;

use super::Cotangents;
use super::latent::{LatentProjections, LatentTrace};
use super::linear::Linear;
use super::mixing::{HeadsRead, Mixing};
use super::norm::{HeadNorms, NormalizedHeads};
use super::row_context::RowContext;
use crate::Error;
use crate::kernels::attention::{self, AttentionTrace, Columns, ExplainedQueries, Projections};
use crate::kernels::clip;
use crate::kernels::{RowIndex, Tensor, rows};
use crate::model::dropout::Masks;
use crate::model::kept::Kept;
use crate::model::sequences::Sequences;
use crate::model::spec::{AttentionSpec, HeadNormOrder};
use crate::model::weights::Checkpoint;

/// Attention over the rows of the attention's own stack.
#[derive(Debug)]
pub(in crate::model) struct SelfAttention {
    project: InputProjection,
    clip: Option<f64>,
    head_norms: Option<HeadNorms>,
    head_norm_order: HeadNormOrder,
    rotation: Option<usize>,
    score_bias: Option<usize>,
    pub(super) mixing: Mixing,
}

/// Where queries, keys and values come from.
#[derive(Debug)]
enum InputProjection {
    /// From the rows: their projections, stacked into one map.
    Direct(Linear),
    /// From latent vectors of the rows.
    Latent(Box<LatentProjections>),
}

/// What the backward pass, or a later pass that continues this one, needs from the forward pass.
#[derive(Debug, Clone)]
pub(in crate::model) struct SelfAttentionTrace {
    pub(in crate::model) attended: AttentionTrace,
    normalized: Projected,
}

/// What the backward pass needs to know about latent vectors, clipping and head norms.
#[derive(Debug, Clone, Default)]
struct Projected {
    latent: Option<LatentTrace>,
    /// Slope of the clipping: 0 where a value was clipped, 1 elsewhere. `[rows, width]`
    unclipped: Option<Tensor>,
    head_norms: Option<NormalizedHeads>,
}

impl SelfAttentionTrace {
    /// Drops what is known about the way to queries and keys, which only a backward pass needs.
    pub(super) fn keys_and_values(self) -> Self {
        Self {
            normalized: Projected::default(),
            ..self
        }
    }
}

impl SelfAttention {
    /// Reads the attention's weights.
    pub(super) fn load(
        spec: &AttentionSpec,
        hidden: usize,
        checkpoint: &Checkpoint,
    ) -> Result<Self, Error> {
        let (width, kv_width) = (spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim);
        let parts = [
            (&spec.query, width),
            (&spec.key, kv_width),
            (&spec.value, kv_width),
        ];
        let order = spec.head_norms.as_ref().map(|norms| norms.order);
        let head_norms = spec
            .head_norms
            .as_ref()
            .map(|norms| HeadNorms::load(norms, spec, checkpoint));
        let project = match &spec.latent {
            None => InputProjection::Direct(Linear::load(&parts, hidden, checkpoint)?),
            Some(latent) => {
                let projections = LatentProjections::load(spec, latent, hidden, checkpoint)?;
                InputProjection::Latent(Box::new(projections))
            }
        };
        Ok(Self {
            project,
            clip: spec.clip,
            head_norms: head_norms.transpose()?,
            head_norm_order: order.unwrap_or(HeadNormOrder::BeforeRotation),
            rotation: spec.rotation,
            score_bias: spec.score_bias,
            mixing: Mixing::load(spec, hidden, checkpoint)?,
        })
    }

    /// Attends from each row to the rows of its sequence, and to the rows that an earlier pass
    /// cached in `past`. `[rows, hidden]`
    pub(super) fn forward(
        &self,
        x: &Tensor,
        rows: &RowContext<'_>,
        past: Option<&AttentionTrace>,
        masks: &mut Masks<'_>,
    ) -> Result<(Tensor, SelfAttentionTrace)> {
        let (projected, normalized) = self.project(x, rows)?;
        let (width, kv_width) = self.mixing.widths();
        let queries = Columns {
            rows: projected.clone(),
            column: 0,
        };
        let (keys, first_key, key_sequences) = match past {
            None if rows.kept == Kept::Everything => (projected, width, rows.sequences.clone()),
            None => {
                // A copy, because the keys alone would keep the memory of the queries, too.
                let keys = projected.narrow(1, width, 2 * kv_width)?.contiguous()?;
                (keys, 0, rows.sequences.clone())
            }
            Some(past) => {
                let new = projected.narrow(1, width, 2 * kv_width)?.contiguous()?;
                let (keys, sequences) = append(past, &new, rows.sequences, kv_width)?;
                (keys, 0, sequences)
            }
        };
        let [keys, values] = [first_key, first_key + kv_width].map(|column| Columns {
            rows: keys.clone(),
            column,
        });
        let read = HeadsRead {
            projections: Projections {
                queries,
                keys,
                values,
            },
            key_rows: key_sequences.iter().collect(),
            bias: self.score_bias.map(|index| &rows.score_biases[index]),
        };
        let (y, attended) = self.mixing.forward(read, rows, masks)?;
        let saved = SelfAttentionTrace {
            attended,
            normalized,
        };
        Ok((y, saved))
    }

    /// Returns queries, keys and values side by side, clipped, normalized and rotated, or rotated and
    /// then normalized.
    /// `[rows, query width + 2 · key width]`
    fn project(&self, x: &Tensor, rows: &RowContext<'_>) -> Result<(Tensor, Projected)> {
        let mut saved = Projected::default();
        let mut projected = match &self.project {
            InputProjection::Direct(linear) => linear.forward(x)?,
            InputProjection::Latent(projections) => {
                let (projected, trace) = projections.forward(x)?;
                saved.latent = Some(trace);
                projected
            }
        };
        if let Some(limit) = self.clip {
            let (clipped, unclipped) = clip::forward(&projected, limit)?;
            (projected, saved.unclipped) = (clipped, Some(unclipped));
        }
        if self.head_norm_order == HeadNormOrder::AfterRotation {
            projected = self.rotate(projected, rows)?;
        }
        if let Some(norms) = &self.head_norms {
            let (normalized, of_heads) = norms.forward(&projected)?;
            (projected, saved.head_norms) = (normalized, Some(of_heads));
        }
        if self.head_norm_order == HeadNormOrder::BeforeRotation {
            projected = self.rotate(projected, rows)?;
        }
        Ok((projected, saved))
    }

    /// Rotates the queries and keys in projected rows, if the attention does so.
    fn rotate(&self, projected: Tensor, rows: &RowContext<'_>) -> Result<Tensor> {
        let Some(index) = self.rotation else {
            return Ok(projected);
        };
        let heads = self.mixing.heads();
        let turned = heads.queries + heads.keys;
        rows.rotations[index].forward(&projected, turned, rows.positions)
    }

    /// Pulls cotangents back to the input. The result has a row for every position that an
    /// explained token depends on.
    pub(super) fn vjp(
        &self,
        saved: &SelfAttentionTrace,
        dy: &Cotangents,
        rows: &RowContext<'_>,
    ) -> Result<Cotangents> {
        let heads = self.mixing.heads();
        let pulled = self.mixing.vjp(&saved.attended, dy)?;
        let num_keys = |token: &ExplainedQueries| {
            attention::num_key_rows(heads, &saved.attended.sequences[token.sequence], token)
        };
        let (mut dq, mut dkv) = (pulled.queries, pulled.keys_and_values);
        let keys = dy.widened(num_keys, rows.sequences, dkv.clone());
        let rotate_back = |dq: &mut Tensor, dkv: &mut Tensor| -> Result<()> {
            if let Some(index) = self.rotation {
                let rotation = &rows.rotations[index];
                *dq = rotation.vjp(dq, heads.queries, rows.positions, &dy.saved_rows)?;
                *dkv = rotation.vjp(dkv, heads.keys, rows.positions, &keys.saved_rows)?;
            }
            Ok(())
        };
        // The steps of `project` are pulled back in reverse order: clipping comes last.
        if self.head_norm_order == HeadNormOrder::BeforeRotation {
            rotate_back(&mut dq, &mut dkv)?;
        }
        if let (Some(norms), Some(saved)) = (&self.head_norms, &saved.normalized.head_norms) {
            dq = norms.vjp_of_queries(saved, &dq, &dy.saved_rows)?;
            dkv = norms.vjp_of_keys(saved, &dkv, &keys.saved_rows)?;
        }
        if self.head_norm_order == HeadNormOrder::AfterRotation {
            rotate_back(&mut dq, &mut dkv)?;
        }
        let (width, kv_width) = self.mixing.widths();
        if let Some(unclipped) = &saved.normalized.unclipped {
            dq = clip::vjp(&dq, unclipped, 0, &dy.saved_rows)?;
            dkv = clip::vjp(&dkv, unclipped, width, &keys.saved_rows)?;
        }
        let (through_keys, through_queries) = match (&self.project, &saved.normalized.latent) {
            (InputProjection::Direct(linear), _) => (
                keys.with_rows(linear.vjp_of(&dkv, width..width + 2 * kv_width)?),
                dy.with_rows(linear.vjp_of(&dq, 0..width)?),
            ),
            (InputProjection::Latent(projections), Some(saved)) => (
                projections.vjp_of_keys(saved, &keys.with_rows(dkv))?,
                projections.vjp_of_queries(saved, &dy.with_rows(dq))?,
            ),
            (InputProjection::Latent(_), None) => {
                return Err(
                    candle_core::Error::Msg("a trace without latent vectors".to_owned()).bt(),
                );
            }
        };
        through_keys.add(&through_queries)
    }
}

/// Returns keys and values side by side. For each sequence, the cached rows precede the new ones.
/// `[key rows, 2 · key width]`
fn append(
    past: &AttentionTrace,
    new: &Tensor,
    new_rows: &Sequences,
    kv_width: usize,
) -> Result<(Tensor, Sequences)> {
    let earlier = past
        .keys
        .rows
        .narrow(1, past.keys.column, 2 * kv_width)?
        .contiguous()?;
    let num_earlier = earlier.dim(0)?;
    let all = Tensor::cat(&[&earlier, new], 0)?;
    let order: RowIndex = (past.sequences.iter().zip(new_rows.iter()))
        .flat_map(|(earlier, new)| {
            earlier
                .keys
                .clone()
                .chain(new.start + num_earlier..new.end + num_earlier)
        })
        .collect();
    let lengths = past
        .sequences
        .iter()
        .zip(new_rows.lengths())
        .map(|(earlier, new)| earlier.keys.len() + new);
    Ok((
        rows::gather(&all, &order)?,
        Sequences::from_lengths(lengths),
    ))
}
