//! The forward pass of attention.

use candle_core::Tensor;
use rayon::prelude::*;

use super::columns::{HeadColumns, split};
use super::trace::{AttentionTrace, Heads, Projections, Sequence};
use crate::error::Result;
use crate::kernels::gemm::{Strided, WriteMode, small_product};
use crate::kernels::score_bias::ScoreBias;
use crate::kernels::tensor::{by_dtype, may_parallelize, tensor};
use crate::kernels::{Real, softcap, softmax_in_place};

/// Attends. A causal query at the end of its sequence sees every key, the one before it all but the
/// last, and so on. If there are as many keys as queries, that is the usual triangle.
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
    let (rows, _) = projections.queries.rows.dims2()?;
    let num_weights = sequences.iter().map(|s| s.num_weights(heads)).sum();
    let width = heads.queries * heads.dim;
    let mut weights = vec![T::zero(); num_weights];
    let mut mixed = vec![T::zero(); rows * width];
    let attention = SequenceAttention {
        heads,
        bias,
        queries: HeadColumns::<T>::new(&projections.queries)?,
        keys: HeadColumns::new(&projections.keys)?,
        values: HeadColumns::new(&projections.values)?,
    };
    attention.of_all(&sequences, &mut weights, &mut mixed);
    drop(attention);
    let weights = tensor(weights, num_weights)?;
    let Projections {
        queries,
        keys,
        values,
    } = projections;
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

/// What the attention of each sequence reads.
struct SequenceAttention<'a, T> {
    heads: Heads,
    bias: Option<&'a ScoreBias>,
    queries: HeadColumns<'a, T>,
    keys: HeadColumns<'a, T>,
    values: HeadColumns<'a, T>,
}

impl<T: Real> SequenceAttention<'_, T> {
    /// Writes the weights and the mixed values of all sequences, one after another.
    fn of_all(&self, sequences: &[Sequence], weights: &mut [T], mixed: &mut [T]) {
        let width = self.heads.queries * self.heads.dim;
        let num_weights = sequences.iter().map(|s| s.num_weights(self.heads));
        let num_mixed = sequences.iter().map(|s| s.queries.len() * width);
        let weights = split(weights, num_weights);
        let mixed = split(mixed, num_mixed);
        let tasks: Vec<_> = sequences
            .iter()
            .zip(weights.into_iter().zip(mixed))
            .collect();
        let attend = |(sequence, (weights, mixed)): (&Sequence, (&mut [T], &mut [T]))| {
            self.of_sequence(sequence, weights, mixed);
        };
        if may_parallelize() {
            tasks.into_par_iter().for_each(attend);
        } else {
            tasks.into_iter().for_each(attend);
        }
    }

    fn of_sequence(&self, sequence: &Sequence, weights: &mut [T], mixed: &mut [T]) {
        // A pass over some rows of a batch may have none of this sequence.
        if sequence.queries.is_empty() {
            return;
        }
        let projections = [&self.queries, &self.keys, &self.values];
        for head in 0..self.heads.queries {
            let rows = HeadRows::new(self.heads, head, projections, sequence);
            let weights = &mut weights[head * rows.num_weights()..][..rows.num_weights()];
            rows.weigh(self.bias, weights);
            rows.mix(weights, &mut mixed[head * self.heads.dim..]);
        }
    }
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
        [q, k, v]: [&'a HeadColumns<'_, T>; 3],
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
            // If there are fewer queries than keys, they are the last rows of their sequence.
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
