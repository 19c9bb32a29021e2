//! The trait of step functions: functions of one step's predictions.

use whence_schemas::Compat;

use super::step::{Slopes, Step};
use crate::Error;
use crate::aggregate::Reduction;

/// A function of one step's predictions.
pub trait StepFunction: std::fmt::Debug + Send + Sync {
    /// Returns the value at `step`.
    fn value(&self, step: &Step<'_>) -> f64;

    /// Adds the gradient of the value at `step` to `slopes`.
    fn add_gradient(&self, step: &Step<'_>, slopes: &mut Slopes);

    /// Returns whether the function has a gradient that methods can attribute.
    fn is_differentiable(&self) -> bool {
        true
    }

    /// Returns whether the value depends on the contrast.
    fn is_contrastive(&self) -> bool {
        false
    }

    /// Returns whether the value is meaningless unless the contrast has a prediction of its own.
    fn needs_own_contrast(&self) -> bool {
        false
    }

    /// Returns how many passes with dropout the value is computed from. Such a function can be
    /// attributed by methods that run passes over changed inputs, or take their gradients, but not
    /// by methods that apply rules of their own inside a pass.
    fn dropout_passes(&self) -> usize {
        0
    }

    /// Returns how scores are merged when tokens are merged into one.
    fn merged_by(&self, _: Compat) -> Reduction {
        Reduction::AbsMax
    }

    /// Fails if a parameter has a value the function cannot use.
    fn validate(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// Returns how probabilities, or log-probabilities, are merged when tokens are merged into one.
///
/// The probabilities of a chain of tokens are multiplied, so their logarithms are added. Inseq
/// multiplies logarithms as well.
pub(super) fn probabilities_merged_by(logarithms: bool, compat: Compat) -> Reduction {
    if logarithms && compat == Compat::None {
        Reduction::Sum
    } else {
        Reduction::Prod
    }
}
