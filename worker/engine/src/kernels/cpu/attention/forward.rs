//! The forward pass of attention that keeps every weight for the backward pass.

use rayon::prelude::*;

use super::columns::split;
use super::head_rows::HeadInputs;
use crate::error::Result;
use crate::kernels::attention::trace::{Attention, AttentionTrace, Projections, Sequence};
use crate::kernels::cpu::real::Real;
use crate::kernels::cpu::slices::{may_parallelize, tensor};
use crate::kernels::tensor::Tensor;

pub(in crate::kernels) fn forward<T: Real>(
    attention: Attention<'_>,
) -> Result<(Tensor, AttentionTrace)> {
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
