//! Values of single keys taken from an attention's output, in main memory.

use crate::error::Result;
use crate::kernels::attention::trace::{AttentionTrace, Pair};
use crate::kernels::cpu::real::Real;
use crate::kernels::cpu::slices::{View, for_each_row, tensor};
use crate::kernels::tensor::Tensor;

pub(in crate::kernels) fn remove_values<T: Real>(
    added: &Tensor,
    attended: &AttentionTrace,
    outputs: &[Option<Tensor>],
    pairs: &[Pair],
) -> Result<Tensor> {
    let (_, hidden) = added.dims2()?;
    let weights = View::<T>::of(&attended.weights)?;
    let outputs = outputs.iter().enumerate();
    let outputs = outputs.filter_map(|(head, output)| Some((head, output.as_ref()?)));
    let outputs = outputs.map(|(head, output)| Ok((head, View::<T>::of(output)?)));
    let outputs = outputs.collect::<Result<Vec<_>>>()?;
    let mut out = View::<T>::of(added)?.to_vec();
    for_each_row(&mut out, hidden, |row, out| {
        let pair = &pairs[row];
        let sequence = &attended.sequences[pair.sequence];
        let (queries, keys) = (sequence.queries.len(), sequence.keys.len());
        for (head, output) in &outputs {
            let index = sequence.first_weight + (head * queries + pair.query) * keys + pair.key;
            let weight = weights[index];
            let output = &output[(sequence.keys.start + pair.key) * hidden..][..hidden];
            for (out, &v) in out.iter_mut().zip(output) {
                *out -= weight * v;
            }
        }
    });
    tensor(out, (pairs.len(), hidden))
}
