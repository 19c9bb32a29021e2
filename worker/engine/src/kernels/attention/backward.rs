//! The vector–Jacobian product of attention, for many explained tokens at once.
//!
//! With P the weights, O = P V and cotangent dO:
//!
//! `dV = Pᵀ dO`, `dP = dO Vᵀ`, `dS = P ⊙ (dP − rowsum(P ⊙ dP))`, `dQ = scale · dS K`, `dK = scale · dSᵀ Q`
//!
//! Where a mask M of dropout multiplies the weights, O = (P ⊙ M) V: `dV = (P ⊙ M)ᵀ dO` and
//! `dP = M ⊙ dO Vᵀ`. Where scores are bounded, `dS` is multiplied by `1 − tanh²(S / c)` before the last two. What a
//! window hides has weight 0, and so no cotangent.

use std::ops::Range;

use candle_core::Tensor;
use rayon::prelude::*;

use super::super::gemm::{Strided, WriteMode, small_product};
use super::super::tensor::{View, by_dtype, may_parallelise, tensor};
use super::super::{Real, softcap};
use super::columns::{HeadColumns, split};
use super::trace::{AttentionTrace, ExplainedQueries, Heads, Sequence};
use crate::error::Result;

/// The cotangents of queries, `[cotangent query rows, heads · dim]`, and of keys and values side by
/// side, `[cotangent key rows, 2 · key heads · dim]`. A token of a causal attention has key rows up to
/// its last query, those of an earlier pass left out; another one all of its sequence's.
pub(crate) struct AttentionCotangents {
    pub(crate) queries: Tensor,
    pub(crate) keys_and_values: Tensor,
}

/// Returns how many key rows each token's cotangents have.
pub(crate) fn num_key_rows(heads: Heads, sequence: &Sequence, token: &ExplainedQueries) -> usize {
    if heads.causal {
        token.positions.end
    } else {
        sequence.keys.len()
    }
}

/// Pulls `dmixed`, the cotangents of the mixed values of the queries of all explained tokens, back.
/// `[cotangent query rows, heads · dim]`
pub(crate) fn vjp(
    saved: &AttentionTrace,
    explained: &[ExplainedQueries],
    dmixed: &Tensor,
) -> Result<AttentionCotangents> {
    by_dtype!(dmixed, T => vjp_as::<T>(saved, explained, dmixed))
}

fn vjp_as<T: Real>(
    saved: &AttentionTrace,
    explained: &[ExplainedQueries],
    dmixed: &Tensor,
) -> Result<AttentionCotangents> {
    let heads = saved.heads;
    let (width, kv_width) = (heads.queries * heads.dim, 2 * heads.keys * heads.dim);
    let key_rows: Vec<_> = explained
        .iter()
        .map(|s| num_key_rows(heads, &saved.sequences[s.sequence], s))
        .collect();
    let query_rows: Vec<_> = explained.iter().map(|s| s.positions.len()).collect();
    let num_queries: usize = query_rows.iter().sum();
    let num_keys: usize = key_rows.iter().sum();
    let mut dqueries = vec![T::zero(); num_queries * width];
    let mut dkeys_and_values = vec![T::zero(); num_keys * kv_width];
    {
        let dmixed = View::<T>::of(dmixed)?;
        let weights = View::<T>::of(&saved.weights)?;
        let mask = saved.mask.as_ref().map(View::<T>::of).transpose()?;
        let projections = [
            HeadColumns::<T>::new(&saved.queries)?,
            HeadColumns::new(&saved.keys)?,
            HeadColumns::new(&saved.values)?,
        ];
        let dq = split(&mut dqueries, query_rows.iter().map(|rows| rows * width));
        let dkv = split(
            &mut dkeys_and_values,
            key_rows.iter().map(|rows| rows * kv_width),
        );
        let mut first_query = 0;
        let tasks: Vec<_> = (explained.iter().zip(dq).zip(dkv))
            .map(|((token, dq), dkv)| {
                let rows = first_query..first_query + token.positions.len();
                first_query = rows.end;
                let own = &dmixed[rows.start * width..rows.end * width];
                (token, own, dq, dkv)
            })
            .collect();
        let pull_back =
            |(token, dmixed, dq, dkv): (&ExplainedQueries, &[T], &mut [T], &mut [T])| {
                let sequence = &saved.sequences[token.sequence];
                let token = ExplainedView {
                    heads,
                    sequence,
                    positions: token.positions.clone(),
                    weights: &weights,
                    mask: mask.as_deref(),
                    dmixed,
                };
                token.pull_back([&projections[0], &projections[1], &projections[2]], dq, dkv);
            };
        if may_parallelise() {
            tasks.into_par_iter().for_each(pull_back);
        } else {
            tasks.into_iter().for_each(pull_back);
        }
    }
    Ok(AttentionCotangents {
        queries: tensor(dqueries, (num_queries, width))?,
        keys_and_values: tensor(dkeys_and_values, (num_keys, kv_width))?,
    })
}

/// One explained token's share of the backward pass.
struct ExplainedView<'a, T> {
    heads: Heads,
    sequence: &'a Sequence,
    positions: Range<usize>,
    weights: &'a [T],
    mask: Option<&'a [T]>,
    dmixed: &'a [T],
}

impl<T: Real> ExplainedView<'_, T> {
    fn pull_back(&self, projections: [&HeadColumns<'_, T>; 3], dq: &mut [T], dkv: &mut [T]) {
        let num_keys = if self.heads.causal {
            self.sequence.num_earlier(self.heads) + self.positions.end
        } else {
            self.sequence.keys.len()
        };
        let mut dscores = vec![T::zero(); self.positions.len() * num_keys];
        for head in 0..self.heads.queries {
            self.pull_back_head(head, projections, &mut dscores, [&mut *dq, &mut *dkv]);
        }
    }

    fn pull_back_head(
        &self,
        head: usize,
        projections: [&HeadColumns<'_, T>; 3],
        dscores: &mut [T],
        [dq, dkv]: [&mut [T]; 2],
    ) {
        let Heads {
            queries: num_heads,
            keys: kv_heads,
            dim,
            scale,
            ..
        } = self.heads;
        let (width, kv_width) = (num_heads * dim, 2 * kv_heads * dim);
        let num_keys = dscores.len() / self.positions.len();
        let views = self.views(head, projections, num_keys);
        let key_head = self.heads.key_head(head);
        let earlier = self.sequence.num_earlier(self.heads);
        // Several query heads add to one key head; the first one writes.
        let into = if head.is_multiple_of(num_heads / kv_heads) {
            WriteMode::Replace
        } else {
            WriteMode::Add
        };

        let masked = views.masked_weights();
        let mixing = masked.as_ref().map_or(views.weights, |masked| Strided {
            elements: masked,
            row_stride: num_keys,
            ..views.weights
        });
        small_product(
            T::one(),
            mixing.columns_from(earlier).transposed(),
            views.dmixed,
            (&mut dkv[(kv_heads + key_head) * dim..], kv_width),
            into,
        );
        self.pull_back_scores(&views, dscores);
        let dscores = Strided {
            elements: dscores,
            rows: self.positions.len(),
            columns: num_keys,
            row_stride: num_keys,
            column_stride: 1,
        };
        let scale = T::from_f64(scale);
        small_product(
            scale,
            dscores,
            views.keys,
            (&mut dq[head * dim..], width),
            WriteMode::Replace,
        );
        small_product(
            scale,
            dscores.columns_from(earlier).transposed(),
            views.queries,
            (&mut dkv[key_head * dim..], kv_width),
            into,
        );
    }

    /// Writes the cotangents of the scores. `[queries, keys]`
    fn pull_back_scores(&self, views: &HeadViews<'_, T>, dscores: &mut [T]) {
        let num_keys = views.keys.rows;
        small_product(
            T::one(),
            views.dmixed,
            views.values.transposed(),
            (dscores, num_keys),
            WriteMode::Replace,
        );
        for (query, row) in dscores.chunks_exact_mut(num_keys).enumerate() {
            let first = query * views.weights.row_stride;
            if let Some(mask) = views.mask {
                for (d, &factor) in row.iter_mut().zip(&mask[first..]) {
                    *d *= factor;
                }
            }
            softmax_vjp(&views.weights.elements[first..][..num_keys], row);
        }
        if let Some(cap) = self.heads.softcap {
            let mut scores = vec![T::zero(); dscores.len()];
            small_product(
                T::from_f64(self.heads.scale),
                views.queries,
                views.keys.transposed(),
                (&mut scores, num_keys),
                WriteMode::Replace,
            );
            softcap::bound_slice(&mut scores, cap);
            softcap::vjp_slice(&scores, dscores, cap);
        }
    }

    /// Returns what the token reads of one head, of the first `num_keys` keys.
    fn views<'v>(
        &'v self,
        head: usize,
        [q, k, v]: [&'v HeadColumns<'v, T>; 3],
        num_keys: usize,
    ) -> HeadViews<'v, T> {
        let Heads { queries, dim, .. } = self.heads;
        let (key_head, total_keys) = (self.heads.key_head(head), self.sequence.keys.len());
        let first = self.sequence.first_weight
            + (head * self.sequence.queries.len() + self.positions.start) * total_keys;
        let first_query = self.sequence.queries.start;
        let asked = first_query + self.positions.start..first_query + self.positions.end;
        let seen = self.sequence.keys.start..self.sequence.keys.start + num_keys;
        HeadViews {
            weights: Strided {
                elements: &self.weights[first..],
                rows: self.positions.len(),
                columns: num_keys,
                row_stride: total_keys,
                column_stride: 1,
            },
            mask: self.mask.map(|mask| &mask[first..]),
            dmixed: Strided {
                elements: &self.dmixed[head * dim..],
                rows: self.positions.len(),
                columns: dim,
                row_stride: queries * dim,
                column_stride: 1,
            },
            queries: q.head(dim, head, &asked),
            keys: k.head(dim, key_head, &seen),
            values: v.head(dim, key_head, &seen),
        }
    }
}

/// What a token reads of one head.
struct HeadViews<'a, T> {
    /// `[queries, keys]`
    weights: Strided<'a, T>,
    /// Factors of the weights, in rows as far apart as theirs.
    mask: Option<&'a [T]>,
    /// `[queries, dim]`
    dmixed: Strided<'a, T>,
    /// `[queries, dim]`
    queries: Strided<'a, T>,
    /// `[keys, dim]`
    keys: Strided<'a, T>,
    /// `[keys, dim]`
    values: Strided<'a, T>,
}

impl<T: Real> HeadViews<'_, T> {
    /// Returns the weights times their factors, where those have any. `[queries, keys]`
    fn masked_weights(&self) -> Option<Vec<T>> {
        let mask = self.mask?;
        let (keys, stride) = (self.weights.columns, self.weights.row_stride);
        let rows = (0..self.weights.rows).map(|query| query * stride..query * stride + keys);
        let of_row = |row: Range<usize>| {
            let weights = self.weights.elements[row.clone()].iter();
            weights
                .zip(&mask[row])
                .map(|(&weight, &factor)| weight * factor)
        };
        Some(rows.flat_map(of_row).collect())
    }
}

/// Turns the cotangents of softmax weights into those of the scores, in place.
///
/// The sum runs in lanes of fixed number, so that a row's bits depend on nothing but the row.
fn softmax_vjp<T: Real>(weights: &[T], row: &mut [T]) {
    const LANES: usize = 16;
    let mut lanes = [T::zero(); LANES];
    let whole = row.len() / LANES * LANES;
    for (w, d) in weights[..whole]
        .chunks_exact(LANES)
        .zip(row[..whole].chunks_exact(LANES))
    {
        for ((lane, &w), &d) in lanes.iter_mut().zip(w).zip(d) {
            *lane += w * d;
        }
    }
    let rest = weights[whole..]
        .iter()
        .zip(&row[whole..])
        .map(|(&w, &d)| (w * d).to_f64());
    let mean = lanes
        .iter()
        .map(|lane| lane.to_f64())
        .chain(rest)
        .sum::<f64>();
    let mean = T::from_f64(mean);
    for (d, &w) in row.iter_mut().zip(weights) {
        *d = w * (*d - mean);
    }
}
