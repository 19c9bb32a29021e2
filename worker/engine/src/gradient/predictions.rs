//! Computes the logits of steps, block by block, and evaluates functions of them without a
//! gradient.
//!
//! A row of logits is as wide as the vocabulary, so only a block of steps has its logits in memory
//! at a time. A function reads only the row of its own step, converted to double precision.

use std::ops::Range;

use rayon::prelude::*;

use super::pass::{PassRef, contrast_tokens};
use crate::batch::{AttributedFunction, Batch, ContrastStep, ExplainedStep};
use crate::error::Result;
use crate::kernels::{RowIndex, Tensor, host, rows};
use crate::model::{Trace, Transformer};
use crate::step_functions::{Step, StepContrast};
use crate::stop::Stop;

/// Returns the value of `function` at every step.
pub(crate) fn values<'p>(
    batch: &Batch<'_>,
    pass: impl Into<PassRef<'p>>,
    steps: &[ExplainedStep],
    function: &AttributedFunction<'_>,
) -> Result<Vec<f64>> {
    let value = |step: &Step<'_>| function.function.value(step);
    map_steps(batch, pass, steps, function, value)
}

/// Returns `body` of every step, with the predictions that `function` reads.
pub(crate) fn map_steps<'p, R: Send>(
    batch: &Batch<'_>,
    pass: impl Into<PassRef<'p>>,
    steps: &[ExplainedStep],
    function: &AttributedFunction<'_>,
    body: impl Fn(&Step<'_>) -> R + Sync,
) -> Result<Vec<R>> {
    let pass = pass.into();
    let mut results = Vec::with_capacity(steps.len());
    for block in logit_blocks(batch, steps.len(), function.num_predictions()) {
        let steps = &steps[block];
        let predictions = Predictions::new(batch.model, pass, steps, function)?;
        let of_row = |row: usize| predictions.with_step(row, &steps[row], &body);
        let rows = (0..steps.len()).into_par_iter().map(of_row);
        results.extend(rows.collect::<Result<Vec<_>>>()?);
    }
    Ok(results)
}

/// Returns the result of `body(step, logits)` for every step.
pub(crate) fn map_logits<R: Send>(
    batch: &Batch<'_>,
    trace: &Trace,
    steps: &[ExplainedStep],
    body: impl Fn(&ExplainedStep, Vec<f64>) -> R + Sync,
) -> Result<Vec<R>> {
    let model = batch.model;
    let mut results = Vec::with_capacity(steps.len());
    for block in logit_blocks(batch, steps.len(), 1) {
        let steps = &steps[block];
        let explained: Vec<_> = steps.iter().map(|step| step.explained.clone()).collect();
        let logits = model.logits(&model.hidden(trace, &explained)?)?;
        let of_row = |row: usize| {
            model.stop().check()?;
            Ok(body(&steps[row], host::download_row(&logits, row)?))
        };
        let rows = (0..steps.len()).into_par_iter().map(of_row);
        results.extend(rows.collect::<Result<Vec<_>>>()?);
    }
    Ok(results)
}

/// Splits `steps` steps into blocks whose logits fit into memory together, with `predictions` rows
/// of logits per step.
pub(super) fn logit_blocks(
    batch: &Batch<'_>,
    steps: usize,
    predictions: usize,
) -> impl Iterator<Item = Range<usize>> + use<> {
    let vocabulary = batch.model.spec().vocabulary;
    let rows = batch.sizes.logit_rows(vocabulary, predictions);
    (0..steps)
        .step_by(rows)
        .map(move |start| start..(start + rows).min(steps))
}

/// The logits of a block of steps and of their contrasts.
pub(super) struct Predictions<'a> {
    pub(super) function: &'a AttributedFunction<'a>,
    /// `[steps, vocabulary]`
    pub(super) logits: Tensor,
    /// One row for each contrasted step of the block. `[contrasted steps, vocabulary]`
    pub(super) contrast: Option<Tensor>,
    /// For each step, its row of `contrast`, if it has one.
    contrast_rows: Vec<Option<usize>>,
    /// The logits of each pass with dropout that the function reads. `[steps, vocabulary]` each.
    pub(super) dropped: Vec<Tensor>,
    /// Cancels what reads the predictions.
    stop: Stop,
}

impl<'a> Predictions<'a> {
    pub(super) fn new(
        model: &Transformer,
        pass: PassRef<'_>,
        steps: &[ExplainedStep],
        function: &'a AttributedFunction<'a>,
    ) -> Result<Self> {
        let explained: Vec<_> = steps.iter().map(|step| step.explained.clone()).collect();
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
                let explained = contrast_tokens(steps, &contrasts.of_sequence);
                let explained: Vec<_> = explained.into_iter().map(|(_, token, _)| token).collect();
                Some(model.hidden(&contrasts.trace, &explained)?)
            }
            (Some(hidden), None) => Some(rows::gather(hidden, &wanted.into())?),
            (None, None) => None,
        };
        let contrast = contrast.map(|hidden| model.logits(&hidden)).transpose()?;
        let logits_of = |trace| model.logits(&model.hidden(trace, &explained)?);
        let dropped = pass.dropped.iter().take(function.function.dropout_passes());
        Ok(Self {
            function,
            logits: logits_of(pass.trace)?,
            contrast,
            contrast_rows,
            dropped: dropped.map(logits_of).collect::<Result<_>>()?,
            stop: model.stop().clone(),
        })
    }

    /// Returns the rows of the steps that have a contrast with its own prediction.
    pub(super) fn contrasted(&self) -> RowIndex {
        let rows = self.contrast_rows.iter().enumerate();
        rows.filter_map(|(row, contrast)| contrast.map(|_| row))
            .collect()
    }

    /// Calls `body` with the [`Step`] of row `row`. Fails once a stop is requested: the rows of a
    /// block together may take seconds.
    pub(super) fn with_step<R>(
        &self,
        row: usize,
        explained: &ExplainedStep,
        body: impl FnOnce(&Step<'_>) -> R,
    ) -> Result<R> {
        self.stop.check()?;
        let logits = host::download_row(&self.logits, row)?;
        let contrast = match (&self.contrast, self.contrast_rows[row]) {
            (Some(logits), Some(row)) => Some(host::download_row(logits, row)?),
            _ => None,
        };
        let token = explained.token as usize;
        // Functions read only the produced token's log-probability from the passes with dropout.
        let dropped = self.dropped.iter().map(|logits| {
            let logits = host::download_row(logits, row)?;
            Ok(Step::new(&logits, token)
                .prediction()
                .log_probability(token))
        });
        let dropped: Vec<_> = dropped.collect::<Result<_>>()?;
        let mut step = Step::new(&logits, token)
            .with_compat(self.function.compat)
            .with_dropped(&dropped);
        if let Some(ContrastStep { token, .. }) = explained.contrast {
            step = step.with_contrast(StepContrast {
                logits: contrast.as_deref(),
                target: token as usize,
            });
        }
        Ok(body(&step))
    }
}
