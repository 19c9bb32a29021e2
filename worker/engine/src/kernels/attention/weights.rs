//! Reading single rows of attention weights.

use candle_core::{DType, Tensor};

use crate::error::Result;

use super::trace::AttentionTrace;
use crate::kernels::tensor::{View, by_dtype, tensor};
use crate::kernels::{Real, host};

/// A query, and the first tokens of its sequence as the keys it attends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueryRow {
    /// Index of the sequence.
    pub(crate) sequence: usize,
    /// Position of the query.
    pub(crate) position: usize,
    /// How many tokens it attends to.
    pub(crate) tokens: usize,
}

/// Returns the weights of a query on its tokens in each of `layers` and in each of their query heads
/// `heads`. `[tokens, layers, heads]`
pub(crate) fn weights_of_query(
    layers: &[&AttentionTrace],
    heads: &[usize],
    query: QueryRow,
) -> Result<Tensor> {
    let Some(first) = layers.first() else {
        return host::zeros((query.tokens, 0, 0), DType::F32);
    };
    by_dtype!(first.weights, T => weights_of_query_as::<T>(layers, heads, query))
}

fn weights_of_query_as<T: Real>(
    layers: &[&AttentionTrace],
    heads: &[usize],
    query: QueryRow,
) -> Result<Tensor> {
    let QueryRow {
        sequence,
        position,
        tokens,
    } = query;
    let mut values = vec![T::zero(); tokens * layers.len() * heads.len()];
    for (layer, attended) in layers.iter().enumerate() {
        let all = View::<T>::of(&attended.weights)?;
        let sequence = &attended.sequences[sequence];
        let (queries, keys) = (sequence.queries.len(), sequence.keys.len());
        for (place, head) in heads.iter().enumerate() {
            let first = sequence.first_weight + (head * queries + position) * keys;
            for (token, &weight) in all[first..][..tokens].iter().enumerate() {
                values[(token * layers.len() + layer) * heads.len() + place] = weight;
            }
        }
    }
    tensor(values, (tokens, layers.len(), heads.len()))
}
