//! Queries, keys and values that a self-attention computes from latent vectors.
//!
//! A narrow, normalized vector per row holds what the keys and values of all heads are made of; in
//! some models another one holds the queries. A part of each key comes from the row itself, is the
//! same in all heads, and is the only part that is rotated. Values may be narrower than keys; they are
//! filled up with zeros, which the output projection ignores, so that the kernels see heads of one
//! width.
//!
//! Source: DeepSeek-AI 2024, <https://arxiv.org/abs/2405.04434>, section 2.1.

use crate::error::Result;

use super::linear::Linear;
use super::{Cotangents, Norm};
use crate::Error;
use crate::kernels::norm::Normalized;
use crate::kernels::{RowIndex, Tensor, rows};
use crate::model::spec::{AttentionSpec, LatentSpec, LatentVectorSpec, LinearSpec, Slice};
use crate::model::weights::Checkpoint;

/// The maps from rows to queries, keys and values through latent vectors, with their weights.
#[derive(Debug)]
pub(super) struct LatentProjections {
    /// From a row to the latent vector of queries, if there is one, that of keys and values, and the
    /// shared part of the keys, side by side.
    down: Linear,
    /// Norm of the latent vector of queries; `None` if queries are projected from the row.
    query_norm: Option<Norm>,
    norm: Norm,
    /// To the queries of all heads, the rotated part of each first.
    query: Linear,
    /// To the parts of keys that are not shared, of all heads, and then to the values of all heads.
    up: Linear,
    widths: Widths,
}

/// Widths of the vectors of one row.
#[derive(Debug, Clone, Copy)]
struct Widths {
    heads: usize,
    /// Width of a head of queries and keys.
    head: usize,
    /// Width of the rotated part of such a head.
    rotated: usize,
    value: usize,
    /// Width of the latent vector of queries; 0 if there is none.
    query_latent: usize,
    latent: usize,
}

/// What the backward pass needs of the norms of the latent vectors.
#[derive(Debug, Clone)]
pub(super) struct LatentTrace {
    queries: Option<Normalized>,
    keys_and_values: Normalized,
}

impl LatentProjections {
    /// Reads the weights.
    pub(super) fn load(
        attention: &AttentionSpec,
        spec: &LatentSpec,
        hidden: usize,
        checkpoint: &Checkpoint,
    ) -> Result<Self, Error> {
        let of_queries = spec.queries.as_ref();
        let of_keys = &spec.keys_and_values;
        let widths = Widths {
            heads: attention.heads,
            head: attention.head_dim,
            rotated: spec.rotated,
            value: spec.value_dim,
            query_latent: of_queries.map_or(0, |vector| vector.width),
            latent: of_keys.width,
        };
        let vectors = of_queries.into_iter().chain([of_keys]);
        let mut down: Vec<_> = vectors.map(|vector| (&vector.down, vector.width)).collect();
        down.push((&spec.shared_key, spec.rotated));
        let norm = |vector: &LatentVectorSpec| Norm::load(&vector.norm, vector.width, checkpoint);
        let queries = widths.rotated_first(&attention.query);
        let queries: Vec<_> = queries.iter().map(|(map, width)| (map, *width)).collect();
        let query_inputs = of_queries.map_or(hidden, |vector| vector.width);
        let up = [
            (&attention.key, widths.heads * widths.unrotated()),
            (&attention.value, widths.heads * widths.value),
        ];
        Ok(Self {
            down: Linear::load(&down, hidden, checkpoint)?,
            query_norm: of_queries.map(norm).transpose()?,
            norm: norm(of_keys)?,
            query: Linear::load(&queries, query_inputs, checkpoint)?,
            up: Linear::load(&up, of_keys.width, checkpoint)?,
            widths,
        })
    }

    /// Returns queries, keys and values side by side, the rotated part of each head of queries and
    /// keys first. `[rows, 3 · heads · head]`
    pub(super) fn forward(&self, x: &Tensor) -> Result<(Tensor, LatentTrace)> {
        let widths = self.widths;
        let down = self.down.forward(x)?;
        let part = |start: usize, len: usize| down.narrow(1, start, len)?.contiguous();
        let mut of_queries = None;
        let queries = match &self.query_norm {
            None => self.query.forward(x)?,
            Some(norm) => {
                let (latent, saved) = norm.forward(&part(0, widths.query_latent)?)?;
                of_queries = Some(saved);
                self.query.forward(&latent)?
            }
        };
        let latent = part(widths.query_latent, widths.latent)?;
        let (latent, keys_and_values) = self.norm.forward(&latent)?;
        let shared = part(widths.query_latent + widths.latent, widths.rotated)?;
        let up = self.up.forward(&latent)?;
        let keys = widths.keys(&up, &shared)?;
        let values = widths.values(&up)?;
        let trace = LatentTrace {
            queries: of_queries,
            keys_and_values,
        };
        Ok((
            Tensor::cat(&[&queries, &keys, &values], 1)?.contiguous()?,
            trace,
        ))
    }

    /// Pulls cotangents of queries back to the input.
    pub(super) fn vjp_of_queries(
        &self,
        saved: &LatentTrace,
        dq: &Cotangents,
    ) -> Result<Cotangents> {
        let dy = dq.with_rows(self.query.vjp(&dq.rows)?);
        let (Some(norm), Some(saved)) = (&self.query_norm, &saved.queries) else {
            return Ok(dy);
        };
        let dlatent = norm.vjp(saved, &dy)?.rows;
        let dx = self.down.vjp_of(&dlatent, 0..self.widths.query_latent)?;
        Ok(dq.with_rows(dx))
    }

    /// Pulls cotangents of keys, then values, back to the input.
    pub(super) fn vjp_of_keys(&self, saved: &LatentTrace, dkv: &Cotangents) -> Result<Cotangents> {
        let widths = self.widths;
        let (dup, dshared) = widths.split_cotangents(&dkv.rows)?;
        let dlatent = dkv.with_rows(self.up.vjp(&dup)?);
        let dlatent = self.norm.vjp(&saved.keys_and_values, &dlatent)?.rows;
        let ddown = Tensor::cat(&[&dlatent, &dshared], 1)?.contiguous()?;
        let start = widths.query_latent;
        let end = start + widths.latent + widths.rotated;
        Ok(dkv.with_rows(self.down.vjp_of(&ddown, start..end)?))
    }
}

impl Widths {
    /// Returns the width of the part of a head that is not rotated.
    fn unrotated(self) -> usize {
        self.head - self.rotated
    }

    /// Splits the stored map of queries, which has the rotated part of each head last, into parts
    /// with that part first.
    fn rotated_first(self, stored: &LinearSpec) -> Vec<(LinearSpec, usize)> {
        let part = |start: usize, length: usize| {
            let slice = Slice {
                stored: self.heads * self.head,
                start,
                length,
                stride: self.heads * self.head,
            };
            (stored.clone().sliced(slice), length)
        };
        let of_head = |head: usize| {
            let start = head * self.head;
            [
                part(start + self.unrotated(), self.rotated),
                part(start, self.unrotated()),
            ]
        };
        (0..self.heads).flat_map(of_head).collect()
    }

    /// Joins the shared part of the keys, `[rows, rotated]`, and the other parts, the first columns
    /// of `up`. `[rows, heads · head]`
    fn keys(self, up: &Tensor, shared: &Tensor) -> Result<Tensor> {
        let (num_rows, _) = up.dims2()?;
        let own = self.by_head(up, 0, self.unrotated())?;
        let each: RowIndex = (0..num_rows * self.heads)
            .map(|row| row / self.heads)
            .collect();
        let shared = rows::gather(shared, &each)?;
        let keys = Tensor::cat(&[&shared, &own], 1)?.contiguous()?;
        keys.reshape((num_rows, self.heads * self.head))
    }

    /// Fills the values, the last columns of `up`, up with zeros. `[rows, heads · head]`
    fn values(self, up: &Tensor) -> Result<Tensor> {
        let (num_rows, _) = up.dims2()?;
        let values = self.by_head(up, self.heads * self.unrotated(), self.value)?;
        let filled = self.filled(&values)?;
        filled.reshape((num_rows, self.heads * self.head))
    }

    /// Adds zeros behind the columns of `values`, `[rows · heads, value]`.
    fn filled(self, values: &Tensor) -> Result<Tensor> {
        if self.value == self.head {
            return Ok(values.clone());
        }
        let zeros = self.head - self.value;
        let missing = values.narrow(1, 0, zeros.min(self.value))?.contiguous()?;
        let missing = missing.zeros_like()?;
        let (_, width) = missing.dims2()?;
        let pieces = zeros.div_ceil(width);
        let mut parts = vec![values.clone()];
        parts.extend(std::iter::repeat_n(missing, pieces));
        let wide = Tensor::cat(&parts, 1)?;
        wide.narrow(1, 0, self.head)?.contiguous()
    }

    /// Returns the columns from `start` on, `width` for each head, as one row per head.
    /// `[rows · heads, width]`
    fn by_head(self, x: &Tensor, start: usize, width: usize) -> Result<Tensor> {
        let (num_rows, _) = x.dims2()?;
        let columns = x.narrow(1, start, self.heads * width)?.contiguous()?;
        columns.reshape((num_rows * self.heads, width))
    }

    /// Splits cotangents of keys, then values, into those of the outputs of `up` and those of the
    /// shared part of the keys, which are summed over heads.
    fn split_cotangents(self, dkv: &Tensor) -> Result<(Tensor, Tensor)> {
        let (num_rows, _) = dkv.dims2()?;
        let dkeys = self.by_head(dkv, 0, self.head)?;
        let dvalues = self.by_head(dkv, self.heads * self.head, self.head)?;
        let part = |x: &Tensor, start: usize, width: usize| {
            let part = x.narrow(1, start, width)?.contiguous()?;
            part.reshape((num_rows, self.heads * width))
        };
        let dshared = part(&dkeys, 0, self.rotated)?;
        let mut sum = dshared.narrow(1, 0, self.rotated)?.contiguous()?;
        for head in 1..self.heads {
            let of_head = dshared.narrow(1, head * self.rotated, self.rotated)?;
            sum = rows::add(&sum, &of_head.contiguous()?)?;
        }
        let dup = [
            part(&dkeys, self.rotated, self.unrotated())?,
            part(&dvalues, 0, self.value)?,
        ];
        Ok((Tensor::cat(&dup, 1)?.contiguous()?, sum))
    }
}
