//! Mean gradients between two passes, for all steps of a batch.

use rayon::prelude::*;

use super::head::{HiddenGradient, at_hidden};
use super::steps::{StepGradient, chunks, cut};
use crate::Error;
use crate::batch::{Batch, ExplainedStep};
use crate::kernels::rows;
use crate::model::Wanted;
use crate::model::chord::{Chord, ChordPoint};

/// Calls `body(index, gradient)` with the mean gradient of the batch's function between the two
/// passes of `chord`, for every step; chunks run in parallel. The product of the mean gradient with
/// the difference of the inputs is the difference of the function's values. A contrast with its own
/// prediction is held constant.
pub(crate) fn for_each_step_between(
    batch: &Batch<'_>,
    chord: &Chord<'_>,
    steps: &[ExplainedStep],
    wanted: Wanted,
    body: impl Fn(usize, StepGradient) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let model = batch.model;
    let dhidden = mean_at_hidden(batch, chord, steps)?;
    chunks(steps, batch.sizes)
        .into_par_iter()
        .try_for_each(|chunk| {
            let dhidden = dhidden.select_steps(chunk.clone())?.own;
            let steps = &steps[chunk.clone()];
            let explained: Vec<_> = steps.iter().map(|step| step.explained.clone()).collect();
            let gradients = model.vjp_between(chord, &explained, dhidden, wanted)?;
            let gradients = chunk.zip(cut(steps, &gradients)?);
            gradients
                .into_iter()
                .try_for_each(|(index, gradient)| body(index, gradient))
        })
}

/// Returns the mean gradient of the function with respect to the head's inputs.
fn mean_at_hidden(
    batch: &Batch<'_>,
    chord: &Chord<'_>,
    steps: &[ExplainedStep],
) -> Result<HiddenGradient, Error> {
    let mut total = None;
    for ChordPoint { alpha, weight } in chord.points {
        let pass = chord.head_inputs(*alpha)?;
        let at_point = at_hidden(batch, &pass, steps, batch.function)?;
        total = Some(rows::add_scaled(total.as_ref(), &at_point.own, *weight)?);
    }
    let own = total.ok_or_else(|| candle_core::Error::Msg("a chord without points".to_owned()))?;
    Ok(HiddenGradient {
        own,
        contrast: None,
        dropped: Vec::new(),
    })
}
