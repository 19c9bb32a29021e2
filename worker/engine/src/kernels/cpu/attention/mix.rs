//! Values mixed by masked weights in main memory: attention with dropout.

use crate::error::Result;
use crate::kernels::attention::trace::AttentionTrace;
use crate::kernels::cpu::real::Real;
use crate::kernels::cpu::slices::{View, tensor};
use crate::kernels::tensor::Tensor;

/// Returns the values mixed by the weights times `mask`. `[query rows, heads · dim]`
pub(in crate::kernels) fn mix_masked<T: Real>(
    attended: &AttentionTrace,
    mask: &Tensor,
) -> Result<Tensor> {
    let weights = (attended.weights.candle()? * mask.candle()?)?; // [weights of all sequences]
    mix::<T>(attended, &weights.into())
}

fn mix<T: Real>(attended: &AttentionTrace, weights: &Tensor) -> Result<Tensor> {
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
