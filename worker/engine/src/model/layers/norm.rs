//! Norms with their weights: on whole rows, and on the heads of queries and keys.

use crate::error::Result;

use super::Cotangents;
use crate::Error;
use crate::kernels::norm::{self, Normalized, Scaling};
use crate::kernels::{RowIndex, Tensor, host, rows};
use crate::model::spec::{AttentionSpec, HeadNormSpec, HeadNormWeights, NormKind, NormSpec};
use crate::model::weights::Checkpoint;

/// A norm on rows, with its weights.
#[derive(Debug)]
pub(in crate::model) struct Norm(Scaling);

impl Norm {
    /// Reads the norm's weights.
    pub(in crate::model) fn load(
        spec: &NormSpec,
        hidden: usize,
        checkpoint: &Checkpoint,
    ) -> Result<Self, Error> {
        let read = |what: &str| checkpoint.parameter(&format!("{}.{what}", spec.name), &[hidden]);
        let weight = match spec.kind {
            kind if kind.is_plus_one() => rows::add_number(&read("weight")?, 1.0)?,
            NormKind::LayerWithoutWeights => checkpoint
                .place()
                .put(&host::ones(hidden, checkpoint.dtype())?)?,
            _ => read("weight")?,
        };
        let bias = match spec.kind {
            kind if kind.has_bias() => Some(read("bias")?),
            NormKind::LayerWithoutWeights => None,
            _ => {
                // A nonzero bias that this norm does not add would change the model.
                checkpoint.require_no(&format!("{}.bias", spec.name))?;
                None
            }
        };
        Ok(Self(Scaling {
            weight,
            bias,
            group: hidden,
            is_centered: spec.kind.is_centered(),
            epsilon: spec.epsilon,
        }))
    }

    /// Normalizes rows. `[rows, hidden]`
    pub(in crate::model) fn forward(&self, x: &Tensor) -> Result<(Tensor, Normalized)> {
        norm::forward(x, &self.0)
    }

    /// Pulls cotangents back through the norm.
    pub(in crate::model) fn vjp(&self, saved: &Normalized, dy: &Cotangents) -> Result<Cotangents> {
        Ok(dy.with_rows(norm::vjp(&dy.rows, &self.0, saved, &dy.saved_rows)?))
    }
}

/// Norms on the heads of queries and of keys.
#[derive(Debug)]
pub(super) struct HeadNorms {
    queries: Scaling,
    keys: Scaling,
}

/// What the backward pass needs of the forward pass of [`HeadNorms`].
#[derive(Debug, Clone)]
pub(in crate::model) struct NormalizedHeads {
    queries: Normalized,
    keys: Normalized,
}

impl HeadNorms {
    /// Reads the weights.
    pub(super) fn load(
        spec: &HeadNormSpec,
        attention: &AttentionSpec,
        checkpoint: &Checkpoint,
    ) -> Result<Self, Error> {
        let dim = attention.head_dim;
        let scaling = |weights: &HeadNormWeights, heads: usize| -> Result<Scaling, Error> {
            let group = if spec.is_joint { heads * dim } else { dim };
            let mut bias = None;
            if spec.kind.has_bias() {
                bias = Some(head_weights(weights, "bias", (heads, group), checkpoint)?);
            }
            let mut weight =
                head_weights(weights, "weight", (heads * dim / group, group), checkpoint)?;
            if spec.kind.is_plus_one() {
                weight = rows::add_number(&weight, 1.0)?;
            }
            Ok(Scaling {
                weight,
                bias,
                group,
                is_centered: spec.kind.is_centered(),
                epsilon: spec.epsilon,
            })
        };
        Ok(Self {
            queries: scaling(&spec.queries, attention.heads)?,
            keys: scaling(&spec.keys, attention.kv_heads)?,
        })
    }

    /// Normalizes the queries and keys, which come first in each row of projections.
    /// `[rows, width]`
    pub(super) fn forward(&self, projected: &Tensor) -> Result<(Tensor, NormalizedHeads)> {
        let [queries, keys, rest] = self.parts(projected)?;
        let (queries, of_queries) = norm::forward(&queries, &self.queries)?;
        let (keys, of_keys) = norm::forward(&keys, &self.keys)?;
        let saved = NormalizedHeads {
            queries: of_queries,
            keys: of_keys,
        };
        Ok((
            Tensor::cat(&[&queries, &keys, &rest], 1)?.contiguous()?,
            saved,
        ))
    }

    /// Pulls cotangents of normalized queries back. `[cotangent rows, query width]`
    pub(super) fn vjp_of_queries(
        &self,
        saved: &NormalizedHeads,
        dqueries: &Tensor,
        saved_rows: &RowIndex,
    ) -> Result<Tensor> {
        norm::vjp(dqueries, &self.queries, &saved.queries, saved_rows)
    }

    /// Pulls cotangents of normalized keys back. Each row holds keys, then values, which pass
    /// through unchanged. `[cotangent rows, 2 · key width]`
    pub(super) fn vjp_of_keys(
        &self,
        saved: &NormalizedHeads,
        dkeys_and_values: &Tensor,
        saved_rows: &RowIndex,
    ) -> Result<Tensor> {
        let width = self.keys.weight.dim(0)?;
        let dkeys = dkeys_and_values.narrow(1, 0, width)?.contiguous()?;
        let dkeys = norm::vjp(&dkeys, &self.keys, &saved.keys, saved_rows)?;
        let dvalues = dkeys_and_values.narrow(1, width, width)?;
        Tensor::cat(&[&dkeys, &dvalues], 1)?.contiguous()
    }

    /// Splits projections into queries, keys and the rest.
    fn parts(&self, projected: &Tensor) -> Result<[Tensor; 3]> {
        let (queries, keys) = (self.queries.weight.dim(0)?, self.keys.weight.dim(0)?);
        let (_, width) = projected.dims2()?;
        let part = |start: usize, len: usize| projected.narrow(1, start, len)?.contiguous();
        Ok([
            part(0, queries)?,
            part(queries, keys)?,
            part(queries + keys, width - queries - keys)?,
        ])
    }
}

/// Reads the weights or biases (`what`) for `groups` groups of `len` entries. `[groups · len]`
fn head_weights(
    weights: &HeadNormWeights,
    what: &str,
    (groups, len): (usize, usize),
    checkpoint: &Checkpoint,
) -> Result<Tensor, Error> {
    match weights {
        HeadNormWeights::Shared(name) => {
            let one = checkpoint.parameter(&format!("{name}.{what}"), &[len])?;
            Ok(Tensor::cat(&vec![one; groups], 0)?)
        }
        HeadNormWeights::Stacked(name) => {
            let all = checkpoint.parameter(&format!("{name}.{what}"), &[groups, len])?;
            Ok(all.reshape(groups * len)?)
        }
        HeadNormWeights::Numbered(name) => {
            let each = (0..groups)
                .map(|head| checkpoint.parameter(&format!("{name}.{head}.{what}"), &[len]));
            Ok(Tensor::cat(&each.collect::<Result<Vec<_>, _>>()?, 0)?)
        }
    }
}
