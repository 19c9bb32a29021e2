//! An attention without the value of one key: a change of rank one per head.
//!
//! A row's output is `Σ_h Σ_k P_h[q, k] u_h[k]`, where `u_h[k] = v_h[k] W_h` is the value of key k,
//! projected by head h's share of the output projection. Without key k the output loses
//! `Σ_h P_h[q, k] u_h[k]`. Nothing else of the attention has to be computed again.

use std::ops::Range;

use super::trace::AttentionTrace;
use crate::error::Result;
use crate::kernels::tensor::Tensor;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::attention::{
        Attention, Columns, Heads, Pair, Projections, forward, lay_out, remove_values,
    };
    use crate::kernels::{distance, host};
    use crate::stop::Stop;

    fn waves(rows: usize, width: usize, phase: f64) -> Tensor {
        let values: Vec<f64> = (0..rows * width)
            .map(|i| (i as f64 * phase).sin())
            .collect();
        host::upload(values, (rows, width)).unwrap()
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
        let output = output.candle().unwrap();
        let added = Tensor::from(mixed.candle().unwrap().matmul(output).unwrap());
        let project = |values: &Tensor, columns: Range<usize>| {
            let output = output.narrow(0, columns.start, columns.len())?;
            values.candle()?.matmul(&output).map(Tensor::from)
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
            let taken = (own.candle().unwrap() - without.candle().unwrap()).unwrap();
            let taken = Tensor::from(taken.sum_keepdim(0).unwrap());
            let own = own.narrow(0, 0, 1).unwrap();
            assert!(distance::largest(&own, &taken).unwrap() < 1e-14);
        }
    }
}
