//! The forward pass of attention for passes without a backward pass, such as generation.
//!
//! A text of 60,000 tokens has 3.6 billion weights per head. Nobody reads them again here, so the
//! queries are taken in runs, and only the weights of one run and one head exist at a time in each
//! lane. The mixed values have the same bits as those of `forward`.

use std::ops::Range;

use rayon::prelude::*;

use super::columns::split;
use super::head_rows::HeadInputs;
use crate::error::Result;
use crate::kernels::attention::trace::{Attention, AttentionTrace, Columns, Sequence};
use crate::kernels::cpu::real::Real;
use crate::kernels::cpu::slices::{may_parallelize, tensor};
use crate::kernels::tensor::Tensor;

/// Most weights of one run: 1 MiB in single precision, which the cache of a core holds. A single
/// query may have more.
const MOST_WEIGHTS: usize = 1 << 18;

pub(in crate::kernels) fn forward_unkept<T: Real>(
    attention: Attention<'_>,
) -> Result<(Tensor, AttentionTrace)> {
    let heads = attention.heads;
    let (rows, _) = attention.projections.queries.rows.dims2()?;
    let width = heads.queries * heads.dim;
    let mut mixed = vec![T::zero(); rows * width];
    attend_all(&attention, &mut mixed)?;
    let no_queries = Columns {
        rows: tensor(Vec::<T>::new(), (0, width))?,
        column: 0,
    };
    Ok((
        tensor(mixed, (rows, width))?,
        AttentionTrace {
            heads,
            queries: no_queries,
            keys: attention.projections.keys,
            values: attention.projections.values,
            weights: tensor(Vec::<T>::new(), 0)?,
            mask: None,
            sequences: attention.sequences,
            stop: attention.stop.clone(),
        },
    ))
}

/// Writes the mixed values of all sequences.
fn attend_all<T: Real>(attention: &Attention<'_>, mixed: &mut [T]) -> Result<()> {
    let heads = attention.heads;
    let width = heads.queries * heads.dim;
    let inputs = HeadInputs::<T>::new(attention)?;
    let runs: Vec<_> = attention.sequences.iter().flat_map(runs).collect();
    let mixed = split(mixed, runs.iter().map(|(_, queries)| queries.len() * width));
    let attend = |((sequence, queries), mixed): ((&Sequence, Range<usize>), &mut [T])| {
        let mut weights = vec![T::zero(); queries.len() * sequence.keys.len()];
        for head in 0..heads.queries {
            attention.stop.check()?;
            let rows = inputs.rows(head, sequence, &queries);
            rows.weigh(&mut weights);
            rows.mix(&weights, mixed);
        }
        Ok(())
    };
    let tasks: Vec<_> = runs.into_iter().zip(mixed).collect();
    if may_parallelize() {
        tasks.into_par_iter().try_for_each(attend)
    } else {
        tasks.into_iter().try_for_each(attend)
    }
}

/// Splits the queries of a sequence into runs.
fn runs(sequence: &Sequence) -> impl Iterator<Item = (&Sequence, Range<usize>)> {
    let queries = sequence.queries.clone();
    let length = (MOST_WEIGHTS / sequence.keys.len().max(1)).max(1);
    let starts = queries.clone().step_by(length);
    starts.map(move |start| (sequence, start..(start + length).min(queries.end)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::attention::{
        ExplainedQueries, Heads, Projections, forward, forward_unkept, lay_out, vjp,
    };
    use crate::kernels::host;
    use crate::stop::Stop;

    const HEADS: Heads = Heads {
        queries: 2,
        keys: 1,
        dim: 3,
        scale: 0.5,
        causal: true,
        window: Some(500),
        softcap: Some(2.0),
    };

    fn attention(heads: Heads, queries: usize, keys: usize, stop: &Stop) -> Attention<'_> {
        let columns = |rows: usize, width: usize, phase: f32| {
            let values: Vec<f32> = (0..rows * width)
                .map(|i| (i as f32 * phase).sin())
                .collect();
            let rows = host::upload(values, (rows, width)).unwrap();
            Columns { rows, column: 0 }
        };
        // Two sequences, of which the second has a single query.
        let places = [
            (0..queries, 0..keys),
            (queries..queries + 1, keys..keys + 2),
        ];
        Attention {
            heads,
            projections: Projections {
                queries: columns(queries + 1, heads.queries * heads.dim, 0.7),
                keys: columns(keys + 2, heads.keys * heads.dim, 1.3),
                values: columns(keys + 2, heads.keys * heads.dim, 2.1),
            },
            sequences: lay_out(heads, places.into_iter()).0,
            bias: None,
            stop,
        }
    }

    #[test]
    fn runs_of_queries_give_the_bits_of_all_queries_together() {
        let everything = Heads {
            causal: false,
            window: None,
            softcap: None,
            ..HEADS
        };
        let stop = Stop::default();
        for (heads, queries, keys) in [(HEADS, 700, 900), (everything, 600, 600)] {
            let runs = runs(&lay_out(heads, [(0..queries, 0..keys)].into_iter()).0[0]).count();
            assert!(runs > 1, "{runs}");
            let attention = || attention(heads, queries, keys, &stop);
            let (kept, _) = forward(attention()).unwrap();
            let (unkept, _) = forward_unkept(attention()).unwrap();
            let bits = |rows: &Tensor| host::download_rows(rows).unwrap();
            assert_eq!(bits(&kept), bits(&unkept));
        }
    }

    #[test]
    fn a_stop_is_heard_within_an_attention() {
        let stop = Stop::default();
        let (mixed, trace) = forward(attention(HEADS, 4, 4, &stop)).unwrap();
        let token = ExplainedQueries {
            sequence: 0,
            positions: 0..4,
        };
        let cotangents = mixed.narrow(0, 0, 4).unwrap();
        let pull_back = || vjp(&trace, std::slice::from_ref(&token), &cotangents);
        assert!(pull_back().is_ok());
        stop.request();
        assert!(pull_back().is_err());
        assert!(forward(attention(HEADS, 4, 4, &stop)).is_err());
        assert!(forward_unkept(attention(HEADS, 4, 4, &stop)).is_err());
    }
}
