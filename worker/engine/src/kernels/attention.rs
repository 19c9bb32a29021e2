//! Attention of ragged sequences, and its vector–Jacobian product.
//!
//! Sequences of a batch lie one after another in the rows of the projections; a sequence's queries
//! meet only its own keys, so no padding exists and a sequence gets the bits it gets alone.
//!
//! With P the weights, O = P V and cotangent dO:
//!
//! `dV = Pᵀ dO`, `dP = dO Vᵀ`, `dS = P ⊙ (dP − rowsum(P ⊙ dP))`, `dQ = scale · dS K`, `dK = scale · dSᵀ Q`

use std::ops::Range;

use candle_core::Tensor;

use crate::error::Result;
use rayon::prelude::*;

use super::gemm::{Into, Strided, small_product};
use super::tensor::{View, by_dtype, may_parallelise, tensor};
use super::{Real, softmax_in_place};

/// The heads of an attention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Heads {
    /// Number of query heads.
    pub(crate) queries: usize,
    /// Number of key and value heads.
    pub(crate) keys: usize,
    /// Width of a head.
    pub(crate) dim: usize,
    /// Factor of the scores before the softmax.
    pub(crate) scale: f64,
    /// Whether a query sees only keys up to its own position.
    pub(crate) causal: bool,
}

impl Heads {
    fn key_head(&self, query_head: usize) -> usize {
        query_head / (self.queries / self.keys)
    }
}

/// Heads inside a projection: the columns from `column` on of a `[rows, width]` tensor.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    pub(crate) rows: Tensor,
    pub(crate) column: usize,
}

/// What the backward pass needs of an attention's forward pass.
#[derive(Debug, Clone)]
pub(crate) struct Attended {
    pub(crate) heads: Heads,
    pub(crate) queries: Columns,
    pub(crate) keys: Columns,
    pub(crate) values: Columns,
    /// Weights of sequence after sequence, each `[head, query, key]`.
    pub(crate) weights: Tensor,
    /// One entry a sequence.
    pub(crate) sequences: Vec<Sequence>,
}

/// Where one sequence lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sequence {
    /// Rows of the queries.
    pub(crate) queries: Range<usize>,
    /// Rows of the keys and values.
    pub(crate) keys: Range<usize>,
    /// Index of its first weight.
    pub(crate) first_weight: usize,
}

impl Sequence {
    /// Returns how many keys a causal pass found already there: those of the pass it continues.
    fn num_earlier(&self, heads: Heads) -> usize {
        if heads.causal {
            self.keys.len() - self.queries.len()
        } else {
            0
        }
    }
}

/// Cotangent rows of one seed: those of queries `positions` of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeedQueries {
    /// Index of the sequence.
    pub(crate) sequence: usize,
    /// Positions in the sequence.
    pub(crate) positions: Range<usize>,
}

/// Returns where sequences with the given query and key rows lie, and how many weights they have.
pub(crate) fn lay_out(
    heads: Heads,
    rows: impl Iterator<Item = (Range<usize>, Range<usize>)>,
) -> (Vec<Sequence>, usize) {
    let mut first_weight = 0;
    let sequences = rows
        .map(|(queries, keys)| {
            let weights = heads.queries * queries.len() * keys.len();
            first_weight += weights;
            Sequence {
                queries,
                keys,
                first_weight: first_weight - weights,
            }
        })
        .collect();
    (sequences, first_weight)
}

/// Attends. A causal query at the end of its sequence sees every key, the one before it all but the
/// last, and so on; with as many keys as queries that is the usual triangle.
///
/// Returns the mixed values, `[query rows, heads · dim]`.
pub(crate) fn forward(
    heads: Heads,
    queries: Columns,
    keys: Columns,
    values: Columns,
    sequences: Vec<Sequence>,
) -> Result<(Tensor, Attended)> {
    by_dtype!(queries.rows, T => forward_as::<T>(heads, queries, keys, values, sequences))
}

fn forward_as<T: Real>(
    heads: Heads,
    queries: Columns,
    keys: Columns,
    values: Columns,
    sequences: Vec<Sequence>,
) -> Result<(Tensor, Attended)> {
    let (rows, _) = queries.rows.dims2()?;
    let width = heads.queries * heads.dim;
    let num_weights = sequences
        .iter()
        .map(|s| heads.queries * s.queries.len() * s.keys.len())
        .sum();
    let mut weights = vec![T::zero(); num_weights];
    let mut mixed = vec![T::zero(); rows * width];
    {
        let (q, k, v) = (
            HeadColumns::<T>::of(&queries)?,
            HeadColumns::of(&keys)?,
            HeadColumns::of(&values)?,
        );
        let attend = |(sequence, weights, mixed): (&Sequence, &mut [T], &mut [T])| {
            for head in 0..heads.queries {
                attend_head(heads, head, [&q, &k, &v], sequence, weights, mixed);
            }
        };
        let weights = split(
            &mut weights,
            sequences
                .iter()
                .map(|s| heads.queries * s.queries.len() * s.keys.len()),
        );
        let mixed = split(
            &mut mixed,
            sequences.iter().map(|s| s.queries.len() * width),
        );
        let tasks: Vec<_> = sequences
            .iter()
            .zip(weights)
            .zip(mixed)
            .map(|((s, w), m)| (s, w, m))
            .collect();
        if may_parallelise() {
            tasks.into_par_iter().for_each(attend);
        } else {
            tasks.into_iter().for_each(attend);
        }
    }
    let weights = tensor(weights, num_weights)?;
    Ok((
        tensor(mixed, (rows, width))?,
        Attended {
            heads,
            queries,
            keys,
            values,
            weights,
            sequences,
        },
    ))
}

fn attend_head<T: Real>(
    heads: Heads,
    head: usize,
    [q, k, v]: [&HeadColumns<'_, T>; 3],
    sequence: &Sequence,
    weights: &mut [T],
    mixed: &mut [T],
) {
    let (num_queries, num_keys) = (sequence.queries.len(), sequence.keys.len());
    let weights = &mut weights[head * num_queries * num_keys..][..num_queries * num_keys];
    let queries = q.head(heads.dim, head, &sequence.queries);
    let keys = k.head(heads.dim, heads.key_head(head), &sequence.keys);
    let values = v.head(heads.dim, heads.key_head(head), &sequence.keys);
    small_product(
        T::from_f64(heads.scale),
        queries,
        keys.transposed(),
        (weights, num_keys),
        Into::Replace,
    );
    for (query, row) in weights.chunks_exact_mut(num_keys).enumerate() {
        let seen = if heads.causal {
            num_keys - num_queries + query + 1
        } else {
            num_keys
        };
        softmax_in_place(&mut row[..seen]);
        row[seen..].fill(T::zero());
    }
    let weights = Strided {
        elements: weights,
        rows: num_queries,
        columns: num_keys,
        row_stride: num_keys,
        column_stride: 1,
    };
    let width = heads.queries * heads.dim;
    small_product(
        T::one(),
        weights,
        values,
        (&mut mixed[head * heads.dim..], width),
        Into::Replace,
    );
}

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

/// A borrowed [`Columns`].
struct HeadColumns<'t, T> {
    elements: View<'t, T>,
    width: usize,
    column: usize,
}

impl<'t, T: Real> HeadColumns<'t, T> {
    fn of(columns: &'t Columns) -> Result<Self> {
        let (_, width) = columns.rows.dims2()?;
        Ok(Self {
            elements: View::of(&columns.rows)?,
            width,
            column: columns.column,
        })
    }

    /// Returns head `head` of `rows`. `[rows, dim]`
    fn head(&self, dim: usize, head: usize, rows: &Range<usize>) -> Strided<'_, T> {
        // An empty range may start at the end, where there is no such column.
        let start = (rows.start * self.width + self.column + head * dim).min(self.elements.len());
        Strided {
            elements: &self.elements[start..],
            rows: rows.len(),
            columns: dim,
            row_stride: self.width,
            column_stride: 1,
        }
    }
}

/// Cuts `elements` into consecutive pieces of the given lengths.
fn split<T>(mut elements: &mut [T], lengths: impl Iterator<Item = usize>) -> Vec<&mut [T]> {
    lengths
        .map(|length| {
            let (piece, rest) = std::mem::take(&mut elements).split_at_mut(length);
            elements = rest;
            piece
        })
        .collect()
}
