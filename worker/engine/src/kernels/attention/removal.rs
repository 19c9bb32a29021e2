//! An attention without the value of one key: a change of rank one per head.
//!
//! A row's output is `Σ_h Σ_k P_h[q, k] u_h[k]`, where `u_h[k] = v_h[k] W_h` is the value of key k,
//! projected by head h's share of the output projection. Without key k the output loses
//! `Σ_h P_h[q, k] u_h[k]`. Nothing else of the attention has to be computed again.

use std::ops::Range;

use candle_core::Tensor;

use crate::error::Result;

use super::trace::AttentionTrace;
use crate::kernels::Real;
use crate::kernels::tensor::{View, by_dtype, for_each_row, tensor};

/// Key and value heads to choose from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeyHeads<'a> {
    /// All of them.
    All,
    /// These.
    Only(&'a [usize]),
}

impl KeyHeads<'_> {
    fn contain(self, head: usize) -> bool {
        match self {
            Self::All => true,
            Self::Only(heads) => heads.contains(&head),
        }
    }
}

/// A row of an attention's output, and the key whose value is taken from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    /// Index of the sequence.
    pub(crate) sequence: usize,
    /// Position of the query.
    pub(crate) query: usize,
    /// Position of the key.
    pub(crate) key: usize,
}

/// Returns `project(values, columns)` of the values of each query head whose key head is among
/// `key_heads`; `columns` are those of the head in the mixed values. `[key rows, hidden]` each.
pub(crate) fn value_outputs(
    attended: &AttentionTrace,
    key_heads: KeyHeads<'_>,
    project: impl Fn(&Tensor, Range<usize>) -> Result<Tensor>,
) -> Result<Vec<Option<Tensor>>> {
    let heads = attended.heads;
    let of_head = |head: usize| {
        let key_head = heads.key_head(head);
        if !key_heads.contain(key_head) {
            return Ok(None);
        }
        let values = &attended.values;
        let column = values.column + key_head * heads.dim;
        let values = values.rows.narrow(1, column, heads.dim)?.contiguous()?;
        project(&values, head * heads.dim..(head + 1) * heads.dim).map(Some)
    };
    (0..heads.queries).map(of_head).collect()
}

/// Subtracts from each pair's row of `added` what its key adds through the heads that `outputs` has.
/// `[pairs, hidden]`
pub(crate) fn remove_values(
    added: &Tensor,
    attended: &AttentionTrace,
    outputs: &[Option<Tensor>],
    pairs: &[Pair],
) -> Result<Tensor> {
    by_dtype!(added, T => remove_values_as::<T>(added, attended, outputs, pairs))
}

fn remove_values_as<T: Real>(
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

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::kernels::attention::{Attention, Columns, Heads, Projections, forward, lay_out};
    use crate::stop::Stop;

    fn waves(rows: usize, width: usize, phase: f64) -> Tensor {
        let values: Vec<f64> = (0..rows * width)
            .map(|i| (i as f64 * phase).sin())
            .collect();
        Tensor::from_vec(values, (rows, width), &Device::Cpu).unwrap()
    }

    /// What the keys add, one by one, is the whole output: two sequences, two heads a key head.
    #[test]
    fn what_all_keys_add_is_the_output() {
        let heads = Heads {
            queries: 4,
            keys: 2,
            dim: 3,
            scale: 0.5,
            causal: true,
            window: None,
            softcap: None,
        };
        let columns = |width: usize, phase: f64| Columns {
            rows: waves(5, width, phase),
            column: 0,
        };
        let projections = Projections {
            queries: columns(12, 0.7),
            keys: columns(6, 1.3),
            values: columns(6, 2.1),
        };
        let (sequences, _) = lay_out(heads, [(0..3, 0..3), (3..5, 3..5)].into_iter());
        let (mixed, attended) = forward(Attention {
            heads,
            projections,
            sequences,
            bias: None,
            stop: &Stop::default(),
        })
        .unwrap();
        let output = waves(12, 7, 0.3);
        let added = mixed.matmul(&output).unwrap();
        let project = |values: &Tensor, columns: Range<usize>| {
            values.matmul(&output.narrow(0, columns.start, columns.len())?)
        };
        let outputs = value_outputs(&attended, KeyHeads::All, project).unwrap();
        for (row, (sequence, query)) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
            .into_iter()
            .enumerate()
        {
            let pairs: Vec<_> = (0..=query)
                .map(|key| Pair {
                    sequence,
                    query,
                    key,
                })
                .collect();
            let own = added.narrow(0, row, 1).unwrap();
            let own = Tensor::cat(&vec![own; pairs.len()], 0).unwrap();
            let without = remove_values(&own, &attended, &outputs, &pairs).unwrap();
            let all = (own.narrow(0, 0, 1).unwrap()
                - (own - without).unwrap().sum_keepdim(0).unwrap())
            .unwrap();
            let left = all.abs().unwrap().max_all().unwrap();
            assert!(left.to_scalar::<f64>().unwrap() < 1e-14);
        }
    }
}
