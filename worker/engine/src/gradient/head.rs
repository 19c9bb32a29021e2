//! From the attributed function to gradients at the inputs of the model's head.

use std::ops::Range;

use candle_core::Tensor;
use rayon::prelude::*;

use super::pass::PassRef;
use super::predictions::{Predictions, logit_blocks, logit_row};
use crate::batch::{AttributedFunction, Batch, ExplainedStep};
use crate::error::Result;
use crate::kernels::tensor::{by_dtype, tensor};
use crate::kernels::{Real, rows};
use crate::step_functions::Step;

/// The gradient of every step's function with respect to the head's inputs. `[steps, hidden]` each.
#[derive(Debug, Clone)]
pub(crate) struct HiddenGradient {
    pub(super) own: Tensor,
    /// At the contrasts' rows, where those move; zero for steps without.
    pub(super) contrast: Option<Tensor>,
    /// At the rows of each pass with dropout that the function reads.
    pub(super) dropped: Vec<Tensor>,
}

impl HiddenGradient {
    /// Returns the gradients of some of the steps.
    pub(crate) fn select_steps(&self, steps: Range<usize>) -> Result<Self> {
        let cut = |rows: &Tensor| rows.narrow(0, steps.start, steps.len());
        Ok(Self {
            own: cut(&self.own)?,
            contrast: self.contrast.as_ref().map(cut).transpose()?,
            dropped: self.dropped.iter().map(cut).collect::<Result<_>>()?,
        })
    }

    /// Puts the gradients of consecutive blocks of steps together.
    fn joined(blocks: &[Self]) -> Result<Self> {
        let join = |part: &dyn Fn(&Self) -> Option<&Tensor>| {
            let rows: Vec<_> = blocks.iter().filter_map(part).collect();
            (!rows.is_empty())
                .then(|| Tensor::cat(&rows, 0))
                .transpose()
        };
        let no_steps = || candle_core::Error::Msg("a gradient of no steps".to_owned()).bt();
        let mut dropped = Vec::new();
        while let Some(rows) = join(&|block| block.dropped.get(dropped.len()))? {
            dropped.push(rows);
        }
        Ok(Self {
            own: join(&|block| Some(&block.own))?.ok_or_else(no_steps)?,
            contrast: join(&|block| block.contrast.as_ref())?,
            dropped,
        })
    }
}

/// Returns the gradient of `function` at every step with respect to the head's inputs.
pub(crate) fn at_hidden<'p>(
    batch: &Batch<'_>,
    pass: impl Into<PassRef<'p>>,
    steps: &[ExplainedStep],
    function: &AttributedFunction<'_>,
) -> Result<HiddenGradient> {
    let (model, pass) = (batch.model, pass.into());
    let of_block = |block: Range<usize>| {
        let steps = &steps[block];
        let predictions = Predictions::new(model, pass, steps, function)?;
        let dlogits: Result<LogitGradients> =
            by_dtype!(predictions.logits, T => logit_gradients::<T>(&predictions, steps));
        let dlogits = dlogits?;
        let own = model.logits_vjp(&predictions.logits, &dlogits.own)?;
        let mut contrast = None;
        if pass.contrasts.is_some() {
            let mut rows_of_all = own.zeros_like()?;
            if let (Some(logits), Some(dlogits)) = (&predictions.contrast, &dlogits.contrast) {
                let rows = predictions.contrasted();
                let dhidden = model.logits_vjp(logits, &rows::gather(dlogits, &rows)?)?;
                rows_of_all = rows::add_at(&rows_of_all, &dhidden, &rows)?;
            }
            contrast = Some(rows_of_all);
        }
        let dropped = predictions.dropped.iter().zip(&dlogits.dropped);
        let dropped = dropped.map(|(logits, dlogits)| model.logits_vjp(logits, dlogits));
        Ok(HiddenGradient {
            own,
            contrast,
            dropped: dropped.collect::<Result<_>>()?,
        })
    };
    let blocks = logit_blocks(batch, steps.len(), function.num_predictions());
    HiddenGradient::joined(&blocks.map(of_block).collect::<Result<Vec<_>>>()?)
}

/// The gradient of the function with respect to the logits of a block of steps.
/// `[steps, vocabulary]` each.
struct LogitGradients {
    own: Tensor,
    /// At the logits of the contrasts, where a step has some of its own; zero for the others.
    contrast: Option<Tensor>,
    /// At the logits of each pass with dropout.
    dropped: Vec<Tensor>,
}

fn logit_gradients<T: Real>(
    predictions: &Predictions<'_>,
    steps: &[ExplainedStep],
) -> Result<LogitGradients> {
    let (_, vocabulary) = predictions.logits.dims2()?;
    let has_contrasts = predictions.contrast.is_some();
    // A step's own logits, its contrast's, those of its passes with dropout.
    let parts = 1 + usize::from(has_contrasts) + predictions.dropped.len();
    let mut slopes = vec![T::zero(); steps.len() * parts * vocabulary];
    let rows = slopes.par_chunks_exact_mut(parts * vocabulary).zip(steps);
    rows.enumerate().try_for_each(|(row, (out, step))| {
        let (usual, dropped) = out.split_at_mut((parts - predictions.dropped.len()) * vocabulary);
        fill(predictions, (row, step), usual, dropped)
    })?;
    let slopes = tensor(slopes, (steps.len(), parts, vocabulary))?;
    let part = |part: usize| slopes.narrow(1, part, 1)?.squeeze(1)?.contiguous();
    let first_dropped = parts - predictions.dropped.len();
    Ok(LogitGradients {
        own: part(0)?,
        contrast: has_contrasts.then(|| part(1)).transpose()?,
        dropped: (first_dropped..parts).map(part).collect::<Result<_>>()?,
    })
}

/// Writes the gradient of one step: at its own logits and its contrast's, `usual`, and at those of
/// its passes with dropout, one after another each.
fn fill<T: Real>(
    predictions: &Predictions<'_>,
    (row, explained): (usize, &ExplainedStep),
    usual: &mut [T],
    dropped: &mut [T],
) -> Result<()> {
    let function = predictions.function.function;
    let (at_usual, at_dropped) = predictions.with_step(row, explained, |step| {
        let mut slopes = step.slopes();
        function.add_gradient(step, &mut slopes);
        let at_dropped = slopes.dropped().to_vec();
        (slopes.into_parts(), at_dropped)
    })?;
    let (at_own, at_contrast) = at_usual;
    write(
        usual,
        at_own.into_iter().chain(at_contrast.into_iter().flatten()),
    );
    let (token, vocabulary) = (
        explained.token as usize,
        dropped.len() / at_dropped.len().max(1),
    );
    for (pass, slope) in at_dropped.into_iter().enumerate() {
        let logits = logit_row(&predictions.dropped[pass], row)?;
        let mut at_logits = vec![0.0; vocabulary];
        let step = Step::new(&logits, token);
        let prediction = step.prediction();
        prediction.add_log_probability_slope(token, slope, &mut at_logits);
        write(&mut dropped[pass * vocabulary..], at_logits.into_iter());
    }
    Ok(())
}

fn write<T: Real>(out: &mut [T], slopes: impl Iterator<Item = f64>) {
    for (out, slope) in out.iter_mut().zip(slopes) {
        *out = T::from_f64(slope);
    }
}
