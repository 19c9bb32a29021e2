//! The forward pass of attention that keeps every weight for the backward pass.

use candle_core::Tensor;
use rayon::prelude::*;

use super::columns::split;
use super::head_rows::HeadInputs;
use super::trace::{Attention, AttentionTrace, Projections, Sequence};
use crate::error::Result;
use crate::kernels::Real;
use crate::kernels::tensor::{by_dtype, may_parallelize, tensor};

/// Attends. A causal query at the end of its sequence sees every key, the one before it all but the
/// last, and so on. If there are as many keys as queries, that is the usual triangle.
///
/// Returns the mixed values, `[query rows, heads · dim]`. Fails once a stop is requested.
pub(crate) fn forward(attention: Attention<'_>) -> Result<(Tensor, AttentionTrace)> {
    by_dtype!(attention.projections.queries.rows, T => forward_as::<T>(attention))
}

fn forward_as<T: Real>(attention: Attention<'_>) -> Result<(Tensor, AttentionTrace)> {
    let heads = attention.heads;
    let (rows, _) = attention.projections.queries.rows.dims2()?;
    let sequences = attention.sequences.iter();
    let num_weights = sequences.map(|s| s.num_weights(heads)).sum();
    let width = heads.queries * heads.dim;
    let mut weights = vec![T::zero(); num_weights];
    let mut mixed = vec![T::zero(); rows * width];
    attend_all(&attention, &mut weights, &mut mixed)?;
    let Projections {
        queries,
        keys,
        values,
    } = attention.projections;
    Ok((
        tensor(mixed, (rows, width))?,
        AttentionTrace {
            heads,
            queries,
            keys,
            values,
            weights: tensor(weights, num_weights)?,
            mask: None,
            sequences: attention.sequences,
            stop: attention.stop.clone(),
        },
    ))
}

/// Writes the weights and the mixed values of all sequences, one after another.
fn attend_all<T: Real>(
    attention: &Attention<'_>,
    weights: &mut [T],
    mixed: &mut [T],
) -> Result<()> {
    let (heads, sequences) = (attention.heads, &attention.sequences);
    let width = heads.queries * heads.dim;
    let inputs = HeadInputs::<T>::new(attention)?;
    let num_weights = sequences.iter().map(|s| s.num_weights(heads));
    let num_mixed = sequences.iter().map(|s| s.queries.len() * width);
    let weights = split(weights, num_weights);
    let mixed = split(mixed, num_mixed);
    let tasks: Vec<_> = sequences
        .iter()
        .zip(weights.into_iter().zip(mixed))
        .collect();
    let attend = |(sequence, (weights, mixed)): (&Sequence, (&mut [T], &mut [T]))| {
        // A pass over some rows of a batch may have none of this sequence.
        if sequence.queries.is_empty() {
            return Ok(());
        }
        for head in 0..heads.queries {
            attention.stop.check()?;
            let rows = inputs.rows(head, sequence, &sequence.queries);
            let weights = &mut weights[head * rows.num_weights()..][..rows.num_weights()];
            rows.weigh(weights);
            rows.mix(weights, mixed);
        }
        Ok(())
    };
    if may_parallelize() {
        tasks.into_par_iter().try_for_each(attend)
    } else {
        tasks.into_iter().try_for_each(attend)
    }
}
