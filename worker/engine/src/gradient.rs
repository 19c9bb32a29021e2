//! From the attributed function to gradients at the embeddings, for all steps of a batch.
//!
//! One forward pass serves every step: causality makes the states of a prefix the first states of
//! the whole. Each step is a seed of the backward pass; seeds are cut into chunks of bounded rows,
//! one chunk a thread, so that scratch memory is bounded and stays in the cache, and small matrices
//! are never split among threads. A seed's bits do not depend on its chunk.

mod pass;

use std::ops::Range;

use candle_core::Tensor;
use whence_schemas::Compat;

use crate::error::Result;
use rayon::prelude::*;

use crate::kernels::tensor::{View, by_dtype, tensor};
use crate::kernels::{Real, rows};
use crate::methods::Batch;
use crate::model::sequences::Sequences;
use crate::model::{Gradients, Seed, Trace, Transformer, Wanted};
use crate::step_functions::{Step, StepContrast, StepFunction};
pub(crate) use pass::{Pass, PassRef};
use pass::{Shared, add_shared};

/// Rows of one chunk: enough for full-speed products, few enough for its scratch to fit the cache.
const CHUNK_ROWS: usize = 512;

/// Elements of one block of logits: 64 MiB in single precision.
const LOGIT_BLOCK: usize = 16 << 20;

/// What is attributed, or recorded: a step function, and what it needs beside the model's output.
#[derive(Debug, Clone)]
pub(crate) struct Attributed<'a> {
    /// The function.
    pub(crate) function: &'a dyn StepFunction,
    /// Whose definitions count.
    pub(crate) compat: Compat,
    /// Input of the head after each contrast's own prefix; `None` where the contrast's token is
    /// looked up in the step's own prediction. Passes of [`Batch::forward`] compute it anew, with the
    /// inputs it shares; elsewhere it stays. `[contrasted steps, hidden]`
    pub(crate) contrast: Option<Tensor>,
    /// For each step the log-probabilities of its token in passes with dropout; empty where the
    /// function asks for none.
    pub(crate) dropped: &'a [Vec<f64>],
}

/// A step to explain: the row whose logits predict a token, and the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExplainedStep {
    /// The predicting row.
    pub(crate) seed: Seed,
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
    /// Its row of [`Attributed::contrast`].
    pub(crate) row: usize,
    /// Position of the row that predicts it in the contrast's target.
    pub(crate) position: usize,
}

impl ExplainedStep {
    fn target_rows(&self) -> usize {
        self.seed.position + 1
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

/// Returns the value of `function` at every step.
pub(crate) fn values<'p>(
    model: &Transformer,
    pass: impl Into<PassRef<'p>>,
    steps: &[ExplainedStep],
    function: &Attributed<'_>,
) -> Result<Vec<f64>> {
    let pass = pass.into();
    let mut values = Vec::with_capacity(steps.len());
    for block in logit_blocks(model, steps.len()) {
        let dropped = function.dropped.get(block.clone()).unwrap_or_default();
        let steps = &steps[block];
        let predictions = Predictions::of(model, pass, steps, function)?;
        let of_row = |row: usize| {
            let dropped = dropped.get(row).map(Vec::as_slice).unwrap_or_default();
            predictions.with_step(row, &steps[row], dropped, |step| {
                function.function.value(step)
            })
        };
        let rows = (0..steps.len()).into_par_iter().map(of_row);
        values.extend(rows.collect::<Result<Vec<_>>>()?);
    }
    Ok(values)
}

/// Returns `body(step, logits)` of every step.
pub(crate) fn map_logits<R: Send>(
    model: &Transformer,
    trace: &Trace,
    steps: &[ExplainedStep],
    body: impl Fn(&ExplainedStep, Vec<f64>) -> R + Sync,
) -> Result<Vec<R>> {
    let mut results = Vec::with_capacity(steps.len());
    for block in logit_blocks(model, steps.len()) {
        let steps = &steps[block];
        let seeds: Vec<_> = steps.iter().map(|step| step.seed.clone()).collect();
        let logits = model.logits(&model.hidden(trace, &seeds)?)?;
        let of_row = |row: usize| Ok(body(&steps[row], logit_row(&logits, row)?));
        let rows = (0..steps.len()).into_par_iter().map(of_row);
        results.extend(rows.collect::<Result<Vec<_>>>()?);
    }
    Ok(results)
}

/// Returns the log-probability of every step's token where the head's inputs are `hidden`, one row a
/// target row of the pass over `sequences`. `[target rows, hidden]`
pub(crate) fn log_probabilities(
    model: &Transformer,
    hidden: &Tensor,
    sequences: &Sequences,
    steps: &[ExplainedStep],
) -> Result<Vec<f64>> {
    let mut values = Vec::with_capacity(steps.len());
    for block in logit_blocks(model, steps.len()) {
        let steps = &steps[block];
        let row =
            |step: &ExplainedStep| sequences.rows(step.seed.sequence).start + step.seed.position;
        let rows: Vec<_> = steps.iter().map(row).collect();
        let logits = model.logits(&rows::gather(hidden, &rows)?)?;
        for (row, step) in steps.iter().enumerate() {
            let (logits, token) = (logit_row(&logits, row)?, step.token as usize);
            let step = Step::new(&logits, token);
            values.push(step.prediction().log_probability(token));
        }
    }
    Ok(values)
}

/// The gradient of every step's function with respect to the head's inputs. `[steps, hidden]` each.
#[derive(Debug, Clone)]
pub(crate) struct HiddenGradient {
    own: Tensor,
    /// At the contrasts' rows, where those move; zero for steps without.
    contrast: Option<Tensor>,
}

impl HiddenGradient {
    /// Returns the gradients of some of the steps.
    pub(crate) fn of_steps(&self, steps: Range<usize>) -> Result<Self> {
        let cut = |rows: &Tensor| rows.narrow(0, steps.start, steps.len());
        Ok(Self {
            own: cut(&self.own)?,
            contrast: self.contrast.as_ref().map(cut).transpose()?,
        })
    }
}

/// Returns the gradient of `function` at every step with respect to the head's inputs.
pub(crate) fn at_hidden<'p>(
    model: &Transformer,
    pass: impl Into<PassRef<'p>>,
    steps: &[ExplainedStep],
    function: &Attributed<'_>,
) -> Result<HiddenGradient> {
    let pass = pass.into();
    let (mut own, mut at_contrasts) = (Vec::new(), Vec::new());
    for block in logit_blocks(model, steps.len()) {
        let steps = &steps[block];
        let predictions = Predictions::of(model, pass, steps, function)?;
        let dlogits: Result<[Tensor; 2]> =
            by_dtype!(predictions.logits, T => logit_gradients::<T>(&predictions, steps));
        let [dlogits, dcontrast] = dlogits?;
        let at_own = model.logits_vjp(&predictions.logits, &dlogits)?;
        if pass.contrasts.is_some() {
            let mut at_contrast = at_own.zeros_like()?;
            if let Some(logits) = &predictions.contrast {
                let rows = predictions.contrasted();
                let dhidden = model.logits_vjp(logits, &rows::gather(&dcontrast, &rows)?)?;
                at_contrast = rows::add_at(&at_contrast, &dhidden, &rows)?;
            }
            at_contrasts.push(at_contrast);
        }
        own.push(at_own);
    }
    let contrast = match at_contrasts.as_slice() {
        [] => None,
        blocks => Some(Tensor::cat(blocks, 0)?),
    };
    Ok(HiddenGradient {
        own: Tensor::cat(&own, 0)?,
        contrast,
    })
}

fn logit_blocks(model: &Transformer, steps: usize) -> impl Iterator<Item = Range<usize>> {
    let rows = (LOGIT_BLOCK / model.spec().vocabulary).max(1);
    (0..steps)
        .step_by(rows)
        .map(move |start| start..(start + rows).min(steps))
}

/// The logits of a block of steps, and of what they are contrasted with.
struct Predictions<'a> {
    function: &'a Attributed<'a>,
    /// `[steps, vocabulary]`
    logits: Tensor,
    /// One row for each contrasted step of the block. `[contrasted steps, vocabulary]`
    contrast: Option<Tensor>,
    /// Row of `contrast` of each step that has one.
    contrast_rows: Vec<Option<usize>>,
}

impl<'a> Predictions<'a> {
    fn of(
        model: &Transformer,
        pass: PassRef<'_>,
        steps: &[ExplainedStep],
        function: &'a Attributed<'a>,
    ) -> Result<Self> {
        let seeds: Vec<_> = steps.iter().map(|step| step.seed.clone()).collect();
        let mut wanted = Vec::new();
        let mut contrast_rows = vec![None; steps.len()];
        if function.contrast.is_some() {
            for (place, step) in contrast_rows.iter_mut().zip(steps) {
                if let Some(contrast) = step.contrast {
                    *place = Some(wanted.len());
                    wanted.push(contrast.row);
                }
            }
        }
        let contrast = match (&function.contrast, pass.contrasts) {
            _ if wanted.is_empty() => None,
            (_, Some(contrasts)) => {
                let seeds = contrast_seeds(steps, &contrasts.of_sequence);
                let seeds: Vec<_> = seeds.into_iter().map(|(_, seed, _)| seed).collect();
                Some(model.hidden(&contrasts.trace, &seeds)?)
            }
            (Some(hidden), None) => Some(rows::gather(hidden, &wanted)?),
            (None, None) => None,
        };
        let contrast = contrast.map(|hidden| model.logits(&hidden)).transpose()?;
        Ok(Self {
            function,
            logits: model.logits(&model.hidden(pass.trace, &seeds)?)?,
            contrast,
            contrast_rows,
        })
    }

    /// Returns the rows that have a contrast of their own.
    fn contrasted(&self) -> Vec<usize> {
        let rows = self.contrast_rows.iter().enumerate();
        rows.filter_map(|(row, contrast)| contrast.map(|_| row))
            .collect()
    }

    /// Calls `body` with the step of row `row`.
    fn with_step<R>(
        &self,
        row: usize,
        explained: &ExplainedStep,
        dropped: &[f64],
        body: impl FnOnce(&Step<'_>) -> R,
    ) -> Result<R> {
        let logits = logit_row(&self.logits, row)?;
        let contrast = match (&self.contrast, self.contrast_rows[row]) {
            (Some(logits), Some(row)) => Some(logit_row(logits, row)?),
            _ => None,
        };
        let mut step = Step::new(&logits, explained.token as usize)
            .with_compat(self.function.compat)
            .with_dropped(dropped);
        if let Some(ContrastStep { token, .. }) = explained.contrast {
            step = step.with_contrast(StepContrast {
                logits: contrast.as_deref(),
                target: token as usize,
            });
        }
        Ok(body(&step))
    }
}

/// Returns one row of logits in double precision.
fn logit_row(logits: &Tensor, row: usize) -> Result<Vec<f64>> {
    let row = logits.narrow(0, row, 1)?;
    by_dtype!(row, T => Ok(View::<T>::of(&row)?.iter().map(|v| candle_core::WithDType::to_f64(*v)).collect()))
}

/// Returns the gradient of the function with respect to each step's own logits, and to those of its
/// contrast where it has some of its own. `[steps, vocabulary]` each.
fn logit_gradients<T: Real>(
    predictions: &Predictions<'_>,
    steps: &[ExplainedStep],
) -> Result<[Tensor; 2]> {
    let (_, vocabulary) = predictions.logits.dims2()?;
    let function = predictions.function.function;
    let fill = |row: usize, explained: &ExplainedStep, [own, contrast]: [&mut [T]; 2]| {
        predictions.with_step(row, explained, &[], |step| {
            let mut slopes = step.slopes();
            function.add_gradient(step, &mut slopes);
            let (at_own, at_contrast) = slopes.into_parts();
            let own = own.iter_mut().zip(at_own);
            let contrast = contrast.iter_mut().zip(at_contrast.into_iter().flatten());
            for (out, slope) in own.chain(contrast) {
                *out = T::from_f64(slope);
            }
        })
    };
    let mut own = vec![T::zero(); steps.len() * vocabulary];
    let contrast_rows = if predictions.contrast.is_some() {
        steps.len()
    } else {
        0
    };
    let mut contrast = vec![T::zero(); contrast_rows * vocabulary];
    let rows = own.par_chunks_exact_mut(vocabulary).zip(steps).enumerate();
    if contrast_rows == 0 {
        rows.try_for_each(|(row, (own, step))| fill(row, step, [own, &mut []]))?;
    } else {
        rows.zip(contrast.par_chunks_exact_mut(vocabulary))
            .try_for_each(|((row, (own, step)), contrast)| fill(row, step, [own, contrast]))?;
    }
    Ok([
        tensor(own, (steps.len(), vocabulary))?,
        tensor(contrast, (contrast_rows, vocabulary))?,
    ])
}

/// Returns number, seed and shared rows of every step whose sequence has a contrast.
fn contrast_seeds(
    steps: &[ExplainedStep],
    of_sequence: &[Option<Shared>],
) -> Vec<(usize, Seed, Shared)> {
    let of_step = |(index, step): (usize, &ExplainedStep)| {
        let shared = of_sequence[step.seed.sequence]?;
        let seed = Seed {
            sequence: shared.sequence,
            position: step.contrast?.position,
        };
        Some((index, seed, shared))
    };
    steps.iter().enumerate().filter_map(of_step).collect()
}

/// Returns runs of steps whose backward passes have about equally many rows, no more than fill the
/// cache, and equally many runs for every thread, so that none waits for the last.
pub(crate) fn chunks(steps: &[ExplainedStep]) -> Vec<Range<usize>> {
    let total: usize = steps.iter().map(ExplainedStep::rows).sum();
    let count = total.div_ceil(CHUNK_ROWS);
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
    let seeds: Vec<_> = steps.iter().map(|step| step.seed.clone()).collect();
    let gradients = model.vjp(pass.trace, &seeds, dhidden.own.clone(), wanted)?;
    let mut gradients = cut(steps, &gradients)?;
    let (Some(contrasts), Some(dhidden)) = (pass.contrasts, &dhidden.contrast) else {
        return Ok(gradients);
    };
    let contrasted = contrast_seeds(steps, &contrasts.of_sequence);
    if contrasted.is_empty() {
        return Ok(gradients);
    }
    let indices: Vec<_> = contrasted.iter().map(|(index, ..)| *index).collect();
    let seeds: Vec<_> = contrasted.iter().map(|(_, seed, _)| seed.clone()).collect();
    let dhidden = rows::gather(dhidden, &indices)?;
    let pulled = model.vjp(&contrasts.trace, &seeds, dhidden, wanted)?;
    let as_steps = contrasted
        .iter()
        .map(|(index, seed, shared)| ExplainedStep {
            seed: seed.clone(),
            source_rows: shared.source_rows,
            ..steps[*index].clone()
        });
    let pulled = cut(&as_steps.collect::<Vec<_>>(), &pulled)?;
    for ((index, _, shared), added) in contrasted.iter().zip(pulled) {
        let own = &mut gradients[*index];
        own.source = add_shared(own.source.take(), added.source, shared.source)?;
        own.target = add_shared(own.target.take(), added.target, shared.target)?;
    }
    Ok(gradients)
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
    chunks(steps).into_par_iter().try_for_each(|chunk| {
        let dhidden = dhidden.of_steps(chunk.clone())?;
        let steps = &steps[chunk.clone()];
        let gradients = at_embeddings(model, pass, steps, &dhidden, wanted)?;
        chunk
            .zip(gradients)
            .try_for_each(|(index, gradient)| body(index, gradient))
    })
}
