//! The forward pass of attention.

use candle_core::Tensor;
use rayon::prelude::*;

use super::super::gemm::{Strided, WriteMode, small_product};
use super::super::score_bias::ScoreBias;
use super::super::tensor::{by_dtype, may_parallelise, tensor};
use super::super::{Real, softcap, softmax_in_place};
use super::columns::{HeadColumns, split};
use super::trace::{AttentionTrace, Heads, Projections, Sequence};
use crate::error::Result;

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
            HeadColumns::<T>::new(&queries)?,
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
            WriteMode::Replace,
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
            WriteMode::Replace,
        );
    }
}
