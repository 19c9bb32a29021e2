//! Reading single rows of attention weights in main memory.

use crate::error::Result;
use crate::kernels::attention::trace::{AttentionTrace, QueryRow};
use crate::kernels::cpu::real::Real;
use crate::kernels::cpu::slices::{View, tensor};
use crate::kernels::tensor::Tensor;

pub(in crate::kernels) fn weights_of_query<T: Real>(
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
