//! From the attributed function to gradients at the inputs of the model's head.

use std::ops::Range;

use candle_core::Tensor;
use rayon::prelude::*;

use super::pass::PassRef;
use super::predictions::{Predictions, logit_blocks};
use super::{Attributed, ExplainedStep};
use crate::error::Result;
use crate::kernels::tensor::{by_dtype, tensor};
use crate::kernels::{Real, rows};
use crate::model::Transformer;

/// The gradient of every step's function with respect to the head's inputs. `[steps, hidden]` each.
#[derive(Debug, Clone)]
pub(crate) struct HiddenGradient {
    pub(super) own: Tensor,
    /// At the contrasts' rows, where those move; zero for steps without.
    pub(super) contrast: Option<Tensor>,
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
