//! From the attributed function to gradients at the inputs of the model's head.

use std::ops::Range;

use super::pass::PassRef;
use super::predictions::{Predictions, logit_blocks};
use crate::batch::{AttributedFunction, Batch, ExplainedStep};
use crate::error::Result;
use crate::kernels::{Tensor, host, rows};
use crate::step_functions::Step;

/// The gradient of every step's function with respect to the head's inputs. `[steps, hidden]` each.
#[derive(Debug, Clone)]
pub(crate) struct HiddenGradient {
    pub(super) own: Tensor,
    /// At the contrasts' rows, if the contrasts depend on the inputs; zero for steps without a
    /// contrast.
    pub(super) contrast: Option<Tensor>,
    /// At the rows of each pass with dropout that the function reads.
    pub(super) dropped: Vec<Tensor>,
}

impl HiddenGradient {
    /// Returns the gradients of the given steps.
    pub(crate) fn select_steps(&self, steps: Range<usize>) -> Result<Self> {
        let cut = |rows: &Tensor| rows.narrow(0, steps.start, steps.len());
        Ok(Self {
            own: cut(&self.own)?,
            contrast: self.contrast.as_ref().map(cut).transpose()?,
            dropped: self.dropped.iter().map(cut).collect::<Result<_>>()?,
        })
    }

    /// Joins the gradients of consecutive blocks of steps.
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
        let dlogits = logit_gradients(&predictions, steps)?;
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
    /// At the logits of the contrasts, if any step has its own; zero for the other steps.
    contrast: Option<Tensor>,
    /// At the logits of each pass with dropout.
    dropped: Vec<Tensor>,
}

fn logit_gradients(
    predictions: &Predictions<'_>,
    steps: &[ExplainedStep],
) -> Result<LogitGradients> {
    let (_, vocabulary) = predictions.logits.dims2()?;
    let has_contrasts = predictions.contrast.is_some();
    // A step's own logits, its contrast's, and those of each pass with dropout.
    let parts = 1 + usize::from(has_contrasts) + predictions.dropped.len();
    let shape = [steps.len(), parts, vocabulary];
    let parts = host::upload_rows(shape, predictions.logits.dtype(), |row| {
        of_step(predictions, row, &steps[row])
    })?;
    let mut parts = parts.into_iter();
    let no_logits = || candle_core::Error::Msg("a gradient at no logits".to_owned()).bt();
    Ok(LogitGradients {
        own: parts.next().ok_or_else(no_logits)?,
        contrast: if has_contrasts { parts.next() } else { None },
        dropped: parts.collect(),
    })
}

/// Returns the gradient of one step: at its own logits, at its contrast's if any step of the block
/// has a contrast with its own prediction, and at those of each pass with dropout.
fn of_step(
    predictions: &Predictions<'_>,
    row: usize,
    explained: &ExplainedStep,
) -> Result<Vec<Vec<f64>>> {
    let function = predictions.function.function;
    let (own, contrast, at_dropped) = predictions.with_step(row, explained, |step| {
        let mut slopes = step.slopes();
        function.add_gradient(step, &mut slopes);
        let at_dropped = slopes.dropped().to_vec();
        let (own, contrast) = slopes.into_parts();
        (own, contrast, at_dropped)
    })?;
    let (token, vocabulary) = (explained.token as usize, own.len());
    let mut parts = vec![own];
    if predictions.contrast.is_some() {
        parts.push(contrast.unwrap_or_default());
    }
    for (pass, slope) in at_dropped.into_iter().enumerate() {
        let logits = host::download_row(&predictions.dropped[pass], row)?;
        let mut at_logits = vec![0.0; vocabulary];
        let step = Step::new(&logits, token);
        let prediction = step.prediction();
        prediction.add_log_probability_slope(token, slope, &mut at_logits);
        parts.push(at_logits);
    }
    Ok(parts)
}
