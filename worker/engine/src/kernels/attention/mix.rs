//! Values mixed by masked weights: attention with dropout.

use std::ops::Range;

use candle_core::Tensor;

use crate::error::Result;

use super::trace::AttentionTrace;
use crate::kernels::Real;
use crate::kernels::tensor::{View, by_dtype, tensor};

impl AttentionTrace {
    /// Returns the elements of the weights that belong to each sequence.
    pub(crate) fn weights_of_sequences(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.sequences.iter().map(|sequence| {
            sequence.first_weight..sequence.first_weight + sequence.num_weights(self.heads)
        })
    }

    /// Returns the attention with factors `mask` of its weights, laid out as they are, and the values
    /// those mix. `[query rows, heads · dim]`
    pub(crate) fn masked(self, mask: Tensor) -> Result<(Tensor, Self)> {
        let weights = (&self.weights * &mask)?; // [weights of all sequences]
        let mixed = by_dtype!(weights, T => mix_as::<T>(&self, &weights))?;
        let masked = Self {
            mask: Some(mask),
            ..self
        };
        Ok((mixed, masked))
    }
}

fn mix_as<T: Real>(attended: &AttentionTrace, weights: &Tensor) -> Result<Tensor> {
    let heads = attended.heads;
    let (num_rows, _) = attended.queries.rows.dims2()?;
    let (_, value_width) = attended.values.rows.dims2()?;
    let (weights, values) = (
        View::<T>::of(weights)?,
        View::<T>::of(&attended.values.rows)?,
    );
    let width = heads.queries * heads.dim;
    let mut out = vec![T::zero(); num_rows * width];
    for sequence in &attended.sequences {
        let (queries, keys) = (sequence.queries.len(), sequence.keys.len());
        for head in 0..heads.queries {
            let column = attended.values.column + heads.key_head(head) * heads.dim;
            for query in 0..queries {
                let start = sequence.first_weight + (head * queries + query) * keys;
                let weights = &weights[start..start + keys];
                let start = (sequence.queries.start + query) * width + head * heads.dim;
                let out = &mut out[start..start + heads.dim];
                for (key, &weight) in weights.iter().enumerate() {
                    let start = (sequence.keys.start + key) * value_width + column;
                    for (out, &value) in out.iter_mut().zip(&values[start..start + heads.dim]) {
                        *out += weight * value;
                    }
                }
            }
        }
    }
    tensor(out, (num_rows, width))
}
