//! From the attributed function to gradients at the embeddings, for all steps of a batch.
//!
//! One forward pass serves every step: causality makes the states of a prefix the first states of
//! the whole. Each step is one explained token of the backward pass; they are cut into chunks of bounded rows,
//! one chunk a thread, so that scratch memory is bounded and stays in the cache, and small matrices
//! are never split among threads. A token's bits do not depend on its chunk.

mod chord;
mod head;
mod pass;
mod predictions;

use std::ops::Range;

use candle_core::Tensor;
use rayon::prelude::*;
use whence_schemas::Compat;

use crate::error::Result;
use crate::kernels::rows;
use crate::methods::Batch;
use crate::model::{ExplainedToken, Gradients, Transformer, Wanted};
use crate::step_functions::StepFunction;
pub(crate) use chord::for_each_step_between;
pub(crate) use head::{HiddenGradient, at_hidden};
use pass::{ContrastPass, add_shared, contrast_tokens};
pub(crate) use pass::{Pass, PassRef};
pub(crate) use predictions::{map_logits, values};

/// What is attributed, or recorded: a step function, and what it needs beside the model's output.
#[derive(Debug, Clone)]
pub(crate) struct AttributedFunction<'a> {
    /// The function.
    pub(crate) function: &'a dyn StepFunction,
    /// Whose definitions count.
    pub(crate) compat: Compat,
    /// Input of the head after each contrast's own prefix; `None` where the contrast's token is
    /// looked up in the step's own prediction. Passes of [`Batch::forward`] compute it anew, with the
    /// inputs it shares; elsewhere it stays. `[contrasted steps, hidden]`
    pub(crate) contrast: Option<Tensor>,
}

impl AttributedFunction<'_> {
    /// Returns how many predictions of a step are read, those of contrasts left out.
    fn num_predictions(&self) -> usize {
        1 + self.function.dropout_passes()
    }
}

/// A step to explain: the row whose logits predict a token, and the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExplainedStep {
    /// The predicting row.
    pub(crate) explained: ExplainedToken,
    /// The produced token.
    pub(crate) token: u32,
    /// Number of source rows of its sequence.
    pub(crate) source_rows: usize,
    /// What the token is contrasted with.
    pub(crate) contrast: Option<ContrastStep>,
}

/// What a step is contrasted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ContrastStep {
    /// The contrast's token.
    pub(crate) token: u32,
    /// Its row of [`AttributedFunction::contrast`].
    pub(crate) row: usize,
    /// Position of the row that predicts it in the contrast's target.
    pub(crate) position: usize,
}

impl ExplainedStep {
    fn target_rows(&self) -> usize {
        self.explained.position + 1
    }

    /// Returns how many rows its backward pass carries.
    fn rows(&self) -> usize {
        self.source_rows + self.target_rows()
    }
}

/// The gradient of one step's function. `[tokens, hidden]` each.
#[derive(Debug, Clone)]
pub(crate) struct StepGradient {
    /// With respect to the source embeddings.
    pub(crate) source: Option<Tensor>,
    /// With respect to the embeddings of the prefix.
    pub(crate) target: Option<Tensor>,
}

/// Returns runs of steps whose backward passes have about equally many rows, no more than
/// `most_rows`, and equally many runs for every thread, so that none waits for the last.
pub(crate) fn chunks(steps: &[ExplainedStep], most_rows: usize) -> Vec<Range<usize>> {
    let total: usize = steps.iter().map(ExplainedStep::rows).sum();
    let count = total.div_ceil(most_rows);
    let count = count.next_multiple_of(rayon::current_num_threads());
    let mut before = 0;
    let chunk_of = steps.iter().map(|step| {
        let middle = before + step.rows() / 2;
        before += step.rows();
        middle * count / total.max(1)
    });
    let chunk_of: Vec<_> = chunk_of.collect();
    let runs = chunk_of.chunk_by(|one, next| one == next);
    let mut end = 0;
    runs.map(|run| {
        end += run.len();
        end - run.len()..end
    })
    .collect()
}

/// Pulls the gradients `dhidden` of `steps` back to the embeddings and cuts the result into steps.
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

/// Adds what the gradients `dhidden` at the contrasts' rows are at the embeddings that the examples
/// share with their contrasts.
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
    let indices: Vec<_> = contrasted.iter().map(|(index, ..)| *index).collect();
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

fn cut(steps: &[ExplainedStep], gradients: &Gradients) -> Result<Vec<StepGradient>> {
    let (mut source_row, mut target_row) = (0, 0);
    let piece = |rows: &Option<Tensor>, start: &mut usize, len: usize| -> Result<Option<Tensor>> {
        let piece = rows
            .as_ref()
            .map(|rows| rows.narrow(0, *start, len))
            .transpose()?;
        *start += len;
        Ok(piece)
    };
    steps
        .iter()
        .map(|step| {
            Ok(StepGradient {
                source: piece(&gradients.source, &mut source_row, step.source_rows)?,
                target: piece(&gradients.target, &mut target_row, step.target_rows())?,
            })
        })
        .collect()
}

/// Calls `body(index, gradient)` with the gradient of the batch's function at every step, `steps`
/// being those of `pass`; chunks in parallel.
pub(crate) fn for_each_step<'p>(
    batch: &Batch<'_>,
    pass: impl Into<PassRef<'p>>,
    steps: &[ExplainedStep],
    wanted: Wanted,
    body: impl Fn(usize, StepGradient) -> Result<(), crate::Error> + Sync,
) -> Result<(), crate::Error> {
    let (model, pass) = (batch.model, pass.into());
    let dhidden = at_hidden(model, pass, steps, batch.function)?;
    let chunks = chunks(steps, batch.cotangent_rows);
    chunks.into_par_iter().try_for_each(|chunk| {
        let dhidden = dhidden.select_steps(chunk.clone())?;
        let steps = &steps[chunk.clone()];
        let gradients = at_embeddings(model, pass, steps, &dhidden, wanted)?;
        chunk
            .zip(gradients)
            .try_for_each(|(index, gradient)| body(index, gradient))
    })
}
