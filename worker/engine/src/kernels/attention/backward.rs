//! The vector–Jacobian product of attention, for many seeds at once.
//!
//! With P the weights, O = P V and cotangent dO:
//!
//! `dV = Pᵀ dO`, `dP = dO Vᵀ`, `dS = P ⊙ (dP − rowsum(P ⊙ dP))`, `dQ = scale · dS K`, `dK = scale · dSᵀ Q`
//!
//! Where scores are bounded, `dS` is multiplied by `1 − tanh²(S / c)` before the last two. What a
//! window hides has weight 0, and so no cotangent.

use std::ops::Range;

use candle_core::Tensor;
use rayon::prelude::*;

use super::super::gemm::{Into, Strided, small_product};
use super::super::tensor::{View, by_dtype, may_parallelise, tensor};
use super::super::{Real, softcap};
use super::{Attended, HeadColumns, Heads, SeedQueries, Sequence, split};
use crate::error::Result;

/// The cotangents of queries, `[seed query rows, heads · dim]`, and of keys and values side by
/// side, `[seed key rows, 2 · key heads · dim]`. A seed of a causal attention has key rows up to
/// its last query, those of an earlier pass left out; another one all of its sequence's.
pub(crate) struct AttentionCotangents {
    pub(crate) queries: Tensor,
    pub(crate) keys_and_values: Tensor,
}

/// Returns how many key rows each seed's cotangents have.
pub(crate) fn num_key_rows(heads: Heads, sequence: &Sequence, seed: &SeedQueries) -> usize {
    if heads.causal {
        seed.positions.end
    } else {
        sequence.keys.len()
    }
}

/// Pulls `dmixed`, the cotangents of the mixed values of all seeds' queries, back.
/// `[seed query rows, heads · dim]`
pub(crate) fn vjp(
    saved: &Attended,
    seeds: &[SeedQueries],
    dmixed: &Tensor,
) -> Result<AttentionCotangents> {
    by_dtype!(dmixed, T => vjp_as::<T>(saved, seeds, dmixed))
}

fn vjp_as<T: Real>(
    saved: &Attended,
    seeds: &[SeedQueries],
    dmixed: &Tensor,
) -> Result<AttentionCotangents> {
    let heads = saved.heads;
    let (width, kv_width) = (heads.queries * heads.dim, 2 * heads.keys * heads.dim);
    let key_rows: Vec<_> = seeds
        .iter()
        .map(|s| num_key_rows(heads, &saved.sequences[s.sequence], s))
        .collect();
    let query_rows: Vec<_> = seeds.iter().map(|s| s.positions.len()).collect();
    let (num_queries, num_keys) = (
        query_rows.iter().sum::<usize>(),
        key_rows.iter().sum::<usize>(),
    );
    let mut dqueries = vec![T::zero(); num_queries * width];
    let mut dkeys_and_values = vec![T::zero(); num_keys * kv_width];
    {
        let dmixed = View::<T>::of(dmixed)?;
        let weights = View::<T>::of(&saved.weights)?;
        let projections = [
            HeadColumns::<T>::of(&saved.queries)?,
            HeadColumns::of(&saved.keys)?,
            HeadColumns::of(&saved.values)?,
        ];
        let dq = split(&mut dqueries, query_rows.iter().map(|rows| rows * width));
        let dkv = split(
            &mut dkeys_and_values,
            key_rows.iter().map(|rows| rows * kv_width),
        );
        let mut first_query = 0;
        let tasks: Vec<_> = (seeds.iter().zip(dq).zip(dkv))
            .map(|((seed, dq), dkv)| {
                let rows = first_query..first_query + seed.positions.len();
                first_query = rows.end;
                (seed, &dmixed[rows.start * width..rows.end * width], dq, dkv)
            })
            .collect();
        let pull_back = |(seed, dmixed, dq, dkv): (&SeedQueries, &[T], &mut [T], &mut [T])| {
            let sequence = &saved.sequences[seed.sequence];
            let seed = SeedView {
                heads,
                sequence,
                positions: seed.positions.clone(),
                weights: &weights,
                dmixed,
            };
            seed.pull_back([&projections[0], &projections[1], &projections[2]], dq, dkv);
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

/// One seed's share of the backward pass.
struct SeedView<'a, T> {
    heads: Heads,
    sequence: &'a Sequence,
    positions: Range<usize>,
    weights: &'a [T],
    dmixed: &'a [T],
}

impl<T: Real> SeedView<'_, T> {
    fn pull_back(&self, projections: [&HeadColumns<'_, T>; 3], dq: &mut [T], dkv: &mut [T]) {
        let num_keys = if self.heads.causal {
            self.sequence.num_earlier(self.heads) + self.positions.end
        } else {
            self.sequence.keys.len()
        };
        let mut dscores = vec![T::zero(); self.positions.len() * num_keys];
        for head in 0..self.heads.queries {
            self.pull_back_head(head, projections, &mut dscores, dq, dkv);
        }
    }

    fn pull_back_head(
        &self,
        head: usize,
        [q, k, v]: [&HeadColumns<'_, T>; 3],
        dscores: &mut [T],
        dq: &mut [T],
        dkv: &mut [T],
    ) {
        let Heads {
            queries: num_heads,
            keys: kv_heads,
            dim,
            scale,
            ..
        } = self.heads;
        let (num_queries, total_keys) = (self.positions.len(), self.sequence.keys.len());
        let num_keys = dscores.len() / num_queries;
        let key_head = self.heads.key_head(head);
        let earlier = self.sequence.num_earlier(self.heads);
        // Several query heads add to one key head; the first one writes.
        let into = if head.is_multiple_of(num_heads / kv_heads) {
            Into::Replace
        } else {
            Into::Add
        };
        let (width, kv_width) = (num_heads * dim, 2 * kv_heads * dim);

        let first = self.sequence.first_weight
            + (head * self.sequence.queries.len() + self.positions.start) * total_keys;
        let weights = Strided {
            elements: &self.weights[first..],
            rows: num_queries,
            columns: num_keys,
            row_stride: total_keys,
            column_stride: 1,
        };
        let dmixed = Strided {
            elements: &self.dmixed[head * dim..],
            rows: num_queries,
            columns: dim,
            row_stride: width,
            column_stride: 1,
        };
        let seen = self.sequence.keys.start..self.sequence.keys.start + num_keys;
        let asked = self.sequence.queries.start + self.positions.start
            ..self.sequence.queries.start + self.positions.end;
        let (queries, keys, values) = (
            q.head(dim, head, &asked),
            k.head(dim, key_head, &seen),
            v.head(dim, key_head, &seen),
        );

        small_product(
            T::one(),
            weights.columns_from(earlier).transposed(),
            dmixed,
            (&mut dkv[(kv_heads + key_head) * dim..], kv_width),
            into,
        );
        small_product(
            T::one(),
            dmixed,
            values.transposed(),
            (dscores, num_keys),
            Into::Replace,
        );
        for (query, row) in dscores.chunks_exact_mut(num_keys).enumerate() {
            softmax_vjp(&weights.elements[query * total_keys..][..num_keys], row);
        }
        if let Some(cap) = self.heads.softcap {
            let mut scores = vec![T::zero(); dscores.len()];
            small_product(
                T::from_f64(scale),
                queries,
                keys.transposed(),
                (&mut scores, num_keys),
                Into::Replace,
            );
            softcap::bound_slice(&mut scores, cap);
            softcap::vjp_slice(&scores, dscores, cap);
        }
        let dscores = Strided {
            elements: dscores,
            rows: num_queries,
            columns: num_keys,
            row_stride: num_keys,
            column_stride: 1,
        };
        let scale = T::from_f64(scale);
        small_product(
            scale,
            dscores,
            keys,
            (&mut dq[head * dim..], width),
            Into::Replace,
        );
        small_product(
            scale,
            dscores.columns_from(earlier).transposed(),
            queries,
            (&mut dkv[key_head * dim..], kv_width),
            into,
        );
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
