//! Attention of ragged sequences; `backward` is its vector–Jacobian product.
//!
//! Sequences of a batch lie one after another in the rows of the projections; a sequence's queries
//! meet only its own keys, so no padding exists and a sequence gets the bits it gets alone.

mod backward;
mod mix;
mod removal;

pub(crate) use backward::{AttentionCotangents, num_key_rows, vjp};
pub(crate) use removal::{KeyHeads, Pair, remove_values, value_outputs};

use std::ops::Range;

use candle_core::Tensor;

use crate::error::Result;
use rayon::prelude::*;

use super::gemm::{Destination, Strided, small_product};
use super::score_bias::ScoreBias;
use super::tensor::{View, by_dtype, may_parallelise, tensor};
use super::{Real, softcap, softmax_in_place};

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
    /// How many keys a query sees, its own included; all where absent.
    pub(crate) window: Option<usize>,
    /// Bounds scores smoothly: `c · tanh(score / c)`.
    pub(crate) softcap: Option<f64>,
}

impl Heads {
    fn key_head(&self, query_head: usize) -> usize {
        query_head / (self.queries / self.keys)
    }

    /// Returns which of `keys` the query at `position` sees.
    fn seen(&self, position: usize, keys: usize) -> Range<usize> {
        let end = if self.causal { position + 1 } else { keys };
        let first = self
            .window
            .map_or(0, |window| (position + 1).saturating_sub(window));
        first..end
    }
}

/// Heads inside a projection: the columns from `column` on of a `[rows, width]` tensor.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    pub(crate) rows: Tensor,
    pub(crate) column: usize,
}

/// What an attention works on. Rows of values belong to rows of keys.
#[derive(Debug, Clone)]
pub(crate) struct Projections {
    pub(crate) queries: Columns,
    pub(crate) keys: Columns,
    pub(crate) values: Columns,
}

/// What the backward pass needs of an attention's forward pass.
#[derive(Debug, Clone)]
pub(crate) struct AttentionTrace {
    pub(crate) heads: Heads,
    pub(crate) queries: Columns,
    pub(crate) keys: Columns,
    pub(crate) values: Columns,
    /// Weights of sequence after sequence, each `[head, query, key]`.
    pub(crate) weights: Tensor,
    /// Factors of the weights where dropout changes what mixes the values, laid out as they are.
    pub(crate) mask: Option<Tensor>,
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

/// Cotangent rows of one explained token: those of queries `positions` of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExplainedQueries {
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
    projections: Projections,
    sequences: Vec<Sequence>,
    bias: Option<&ScoreBias>,
) -> Result<(Tensor, AttentionTrace)> {
    by_dtype!(projections.queries.rows, T => forward_as::<T>(heads, projections, sequences, bias))
}

fn forward_as<T: Real>(
    heads: Heads,
    projections: Projections,
    sequences: Vec<Sequence>,
    bias: Option<&ScoreBias>,
) -> Result<(Tensor, AttentionTrace)> {
    let Projections {
        queries,
        keys,
        values,
    } = projections;
    let (rows, _) = queries.rows.dims2()?;
    let width = heads.queries * heads.dim;
    let weights_of = |s: &Sequence| heads.queries * s.queries.len() * s.keys.len();
    let num_weights = sequences.iter().map(weights_of).sum();
    let mut weights = vec![T::zero(); num_weights];
    let mut mixed = vec![T::zero(); rows * width];
    {
        let (q, k, v) = (
            HeadColumns::<T>::of(&queries)?,
            HeadColumns::new(&keys)?,
            HeadColumns::new(&values)?,
        );
        let attend = |(sequence, weights, mixed): (&Sequence, &mut [T], &mut [T])| {
            // A pass over some rows of a batch may have none of this sequence.
            if sequence.queries.is_empty() {
                return;
            }
            for head in 0..heads.queries {
                let rows = HeadRows::new(heads, head, [&q, &k, &v], sequence);
                let weights = &mut weights[head * rows.num_weights()..][..rows.num_weights()];
                rows.weigh(bias, weights);
                rows.mix(weights, &mut mixed[head * heads.dim..]);
            }
        };
        let weights = split(&mut weights, sequences.iter().map(weights_of));
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
        AttentionTrace {
            heads,
            queries,
            keys,
            values,
            weights,
            mask: None,
            sequences,
        },
    ))
}

/// One head's rows of one sequence.
struct HeadRows<'a, T> {
    heads: Heads,
    head: usize,
    queries: Strided<'a, T>,
    keys: Strided<'a, T>,
    values: Strided<'a, T>,
}

impl<'a, T: Real> HeadRows<'a, T> {
    fn new(
        heads: Heads,
        head: usize,
        [q, k, v]: [&'a HeadColumns<'a, T>; 3],
        sequence: &Sequence,
    ) -> Self {
        let key_head = heads.key_head(head);
        Self {
            heads,
            head,
            queries: q.head(heads.dim, head, &sequence.queries),
            keys: k.head(heads.dim, key_head, &sequence.keys),
            values: v.head(heads.dim, key_head, &sequence.keys),
        }
    }

    fn num_weights(&self) -> usize {
        self.queries.rows * self.keys.rows
    }

    /// Writes the weights. `[query, key]`
    fn weigh(&self, bias: Option<&ScoreBias>, weights: &mut [T]) {
        let (num_queries, num_keys) = (self.queries.rows, self.keys.rows);
        small_product(
            T::from_f64(self.heads.scale),
            self.queries,
            self.keys.transposed(),
            (weights, num_keys),
            Destination::Replace,
        );
        for (query, row) in weights.chunks_exact_mut(num_keys.max(1)).enumerate() {
            // Where queries are fewer than keys, they are the last rows of their sequence.
            let position = if self.heads.causal {
                num_keys - num_queries + query
            } else {
                query
            };
            if let Some(cap) = self.heads.softcap {
                softcap::bound_slice(row, cap);
            }
            if let Some(bias) = bias {
                bias.add(self.head, position, row);
            }
            let seen = self.heads.seen(position, num_keys);
            row[..seen.start].fill(T::zero());
            softmax_in_place(&mut row[seen.clone()]);
            row[seen.end..].fill(T::zero());
        }
    }

    /// Writes the weighted values into the head's columns of `mixed`.
    fn mix(&self, weights: &[T], mixed: &mut [T]) {
        let weights = Strided {
            elements: weights,
            rows: self.queries.rows,
            columns: self.keys.rows,
            row_stride: self.keys.rows,
            column_stride: 1,
        };
        let width = self.heads.queries * self.heads.dim;
        small_product(
            T::one(),
            weights,
            self.values,
            (mixed, width),
            Destination::Replace,
        );
    }
}

/// A borrowed [`Columns`].
struct HeadColumns<'t, T> {
    elements: View<'t, T>,
    width: usize,
    column: usize,
}

impl<'t, T: Real> HeadColumns<'t, T> {
    fn new(columns: &'t Columns) -> Result<Self> {
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
