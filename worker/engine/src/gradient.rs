//! From the attributed function to gradients at the embeddings, for all steps of a batch.
//!
//! One forward pass serves every step: causality makes the states of a prefix the first states of
//! the whole. Each step is a seed of the backward pass; seeds are cut into chunks of bounded rows,
//! one chunk a thread, so that scratch memory is bounded and stays in the cache, and small matrices
//! are never split among threads. A seed's bits do not depend on its chunk.

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
    /// looked up in the step's own prediction. It does not move with the inputs that are explained.
    /// `[contrasted steps, hidden]`
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
pub(crate) fn values(
    model: &Transformer,
    trace: &Trace,
    steps: &[ExplainedStep],
    function: &Attributed<'_>,
) -> Result<Vec<f64>> {
    let mut values = Vec::with_capacity(steps.len());
    for block in logit_blocks(model, steps.len()) {
        let dropped = function.dropped.get(block.clone()).unwrap_or_default();
        let steps = &steps[block];
        let predictions = Predictions::of(model, trace, steps, function)?;
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

/// Returns the gradient of `function` at every step with respect to the head's input. `[steps, hidden]`
pub(crate) fn at_hidden(
    model: &Transformer,
    trace: &Trace,
    steps: &[ExplainedStep],
    function: &Attributed<'_>,
) -> Result<Tensor> {
    let mut blocks = Vec::new();
    for block in logit_blocks(model, steps.len()) {
        let steps = &steps[block];
        let predictions = Predictions::of(model, trace, steps, function)?;
        let dlogits: Result<Tensor> =
            by_dtype!(predictions.logits, T => logit_gradients::<T>(&predictions, steps));
        blocks.push(model.logits_vjp(&predictions.logits, &dlogits?)?);
    }
    Tensor::cat(&blocks, 0)
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
        trace: &Trace,
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
        let contrast = match &function.contrast {
            Some(hidden) if !wanted.is_empty() => {
                Some(model.logits(&rows::gather(hidden, &wanted)?)?)
            }
            _ => None,
        };
        Ok(Self {
            function,
            logits: model.logits(&model.hidden(trace, &seeds)?)?,
            contrast,
            contrast_rows,
        })
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

/// Returns the gradient of the function with respect to each step's own logits. `[steps, vocabulary]`
fn logit_gradients<T: Real>(
    predictions: &Predictions<'_>,
    steps: &[ExplainedStep],
) -> Result<Tensor> {
    let (_, vocabulary) = predictions.logits.dims2()?;
    let mut gradients = vec![T::zero(); steps.len() * vocabulary];
    gradients
        .par_chunks_exact_mut(vocabulary)
        .zip(steps)
        .enumerate()
        .try_for_each(|(row, (out, explained))| {
            predictions.with_step(row, explained, &[], |step| {
                let mut slopes = step.slopes();
                predictions
                    .function
                    .function
                    .add_gradient(step, &mut slopes);
                for (out, slope) in out.iter_mut().zip(slopes.logits()) {
                    *out = T::from_f64(*slope);
                }
            })
        })?;
    tensor(gradients, (steps.len(), vocabulary))
}

/// Returns runs of steps whose backward passes have about as many rows as fill the cache, at least
/// one run a thread where there are enough steps.
pub(crate) fn chunks(steps: &[ExplainedStep]) -> Vec<Range<usize>> {
    let total: usize = steps.iter().map(ExplainedStep::rows).sum();
    let limit = total.div_ceil(rayon::current_num_threads()).min(CHUNK_ROWS);
    let mut chunks = Vec::new();
    let (mut start, mut rows) = (0, 0);
    for (index, step) in steps.iter().enumerate() {
        if index > start && rows + step.rows() > limit {
            chunks.push(start..index);
            (start, rows) = (index, 0);
        }
        rows += step.rows();
    }
    if start < steps.len() {
        chunks.push(start..steps.len());
    }
    chunks
}

/// Pulls `dhidden`, one row a step, `[steps, hidden]`, back to the embeddings and cuts the result
/// into steps.
pub(crate) fn at_embeddings(
    model: &Transformer,
    trace: &Trace,
    steps: &[ExplainedStep],
    dhidden: &Tensor,
    wanted: Wanted,
) -> Result<Vec<StepGradient>> {
    let seeds: Vec<_> = steps.iter().map(|step| step.seed.clone()).collect();
    let gradients = model.vjp(trace, &seeds, dhidden.clone(), wanted)?;
    cut(steps, &gradients)
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
/// being those of `trace`; chunks in parallel.
pub(crate) fn for_each_step(
    batch: &Batch<'_>,
    trace: &Trace,
    steps: &[ExplainedStep],
    wanted: Wanted,
    body: impl Fn(usize, StepGradient) -> Result<(), crate::Error> + Sync,
) -> Result<(), crate::Error> {
    let model = batch.model;
    let dhidden = at_hidden(model, trace, steps, batch.function)?;
    chunks(steps).into_par_iter().try_for_each(|chunk| {
        let rows = dhidden.narrow(0, chunk.start, chunk.len())?;
        let steps = &steps[chunk.clone()];
        let gradients = at_embeddings(model, trace, steps, &rows, wanted)?;
        chunk
            .zip(gradients)
            .try_for_each(|(index, gradient)| body(index, gradient))
    })
}
