//! From gradients at the head's inputs to gradients at the embeddings.

use rayon::prelude::*;

use super::head::{HiddenGradient, at_hidden};
use super::pass::{ContrastPass, PassRef, add_shared, contrast_tokens};
use super::steps::{StepGradient, chunks, cut};
use crate::batch::{Batch, ExplainedStep};
use crate::error::Result;
use crate::kernels::{RowIndex, Tensor, rows};
use crate::model::{Transformer, Wanted};

/// Calls `body(index, gradient)` with the gradient of the batch's function at every step. `steps`
/// are those of `pass`; their chunks run in parallel.
pub(crate) fn for_each_step<'p>(
    batch: &Batch<'_>,
    pass: impl Into<PassRef<'p>>,
    steps: &[ExplainedStep],
    wanted: Wanted,
    body: impl Fn(usize, StepGradient) -> Result<(), crate::Error> + Sync,
) -> Result<(), crate::Error> {
    let (model, pass) = (batch.model, pass.into());
    let dhidden = at_hidden(batch, pass, steps, batch.function)?;
    let chunks = chunks(steps, batch.sizes);
    chunks.into_par_iter().try_for_each(|chunk| {
        let dhidden = dhidden.select_steps(chunk.clone())?;
        let steps = &steps[chunk.clone()];
        let gradients = at_embeddings(model, pass, steps, &dhidden, wanted)?;
        chunk
            .zip(gradients)
            .try_for_each(|(index, gradient)| body(index, gradient))
    })
}

/// Propagates the gradients `dhidden` of `steps` back to the embeddings and splits the result by
/// step.
pub(crate) fn at_embeddings<'p>(
    model: &Transformer,
    pass: impl Into<PassRef<'p>>,
    steps: &[ExplainedStep],
    dhidden: &HiddenGradient,
    wanted: Wanted,
) -> Result<Vec<StepGradient>> {
    let pass = pass.into();
    let explained: Vec<_> = steps.iter().map(|step| step.explained.clone()).collect();
    let through = |trace, dhidden: &Tensor| {
        let gradients = model.vjp(trace, &explained, dhidden.clone(), wanted)?;
        cut(steps, &gradients)
    };
    let mut gradients = through(pass.trace, &dhidden.own)?;
    for (trace, dhidden) in pass.dropped.iter().zip(&dhidden.dropped) {
        for (own, added) in gradients.iter_mut().zip(through(trace, dhidden)?) {
            own.source = add(own.source.take(), added.source)?;
            own.target = add(own.target.take(), added.target)?;
        }
    }
    if let (Some(contrasts), Some(dhidden)) = (pass.contrasts, &dhidden.contrast) {
        add_through_contrasts(model, contrasts, steps, (dhidden, wanted), &mut gradients)?;
    }
    Ok(gradients)
}

/// Adds the gradients that reach the shared embeddings through the contrasts. `dhidden` holds the
/// gradients at the contrasts' rows; an example and its contrast share the embeddings of the tokens
/// they have in common.
fn add_through_contrasts(
    model: &Transformer,
    contrasts: &ContrastPass,
    steps: &[ExplainedStep],
    (dhidden, wanted): (&Tensor, Wanted),
    gradients: &mut [StepGradient],
) -> Result<()> {
    let contrasted = contrast_tokens(steps, &contrasts.of_sequence);
    if contrasted.is_empty() {
        return Ok(());
    }
    let indices: RowIndex = contrasted.iter().map(|(index, ..)| *index).collect();
    let explained: Vec<_> = contrasted
        .iter()
        .map(|(_, token, _)| token.clone())
        .collect();
    let dhidden = rows::gather(dhidden, &indices)?;
    let pulled = model.vjp(&contrasts.trace, &explained, dhidden, wanted)?;
    let as_steps = contrasted
        .iter()
        .map(|(index, token, shared)| ExplainedStep {
            explained: token.clone(),
            source_rows: shared.source_rows,
            ..steps[*index].clone()
        });
    let pulled = cut(&as_steps.collect::<Vec<_>>(), &pulled)?;
    for ((index, _, shared), added) in contrasted.iter().zip(pulled) {
        let own = &mut gradients[*index];
        own.source = add_shared(own.source.take(), added.source, shared.source)?;
        own.target = add_shared(own.target.take(), added.target, shared.target)?;
    }
    Ok(())
}

fn add(sum: Option<Tensor>, added: Option<Tensor>) -> Result<Option<Tensor>> {
    match (sum, added) {
        (Some(sum), Some(added)) => rows::add(&sum, &added).map(Some),
        (sum, _) => Ok(sum),
    }
}
