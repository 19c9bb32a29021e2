//! What a function of one step's predictions must answer.

use whence_schemas::Compat;

use super::step::{Slopes, Step};
use crate::Error;
use crate::aggregate::Reduction;

/// A function of one step's predictions.
pub trait StepFunction: std::fmt::Debug + Send + Sync {
    /// Returns the value.
    fn value(&self, step: &Step<'_>) -> f64;

    /// Adds the gradient of the value to `slopes`.
    fn add_gradient(&self, step: &Step<'_>, slopes: &mut Slopes);

    /// Returns whether there is a gradient to attribute.
    fn is_differentiable(&self) -> bool {
        true
    }

    /// Returns whether the value depends on the contrast.
    fn is_contrastive(&self) -> bool {
        false
    }

    /// Returns whether the value says nothing unless the contrast has a prediction of its own.
    fn needs_own_contrast(&self) -> bool {
        false
    }

    /// Returns how many passes with dropout the value is made of. Every method attributes such a
    /// function that attributes by passes over changed inputs or by their gradients, and no rule of
    /// its own.
    fn dropout_passes(&self) -> usize {
        0
    }

    /// Returns how the scores of tokens that are merged into one become one score.
    fn merged_by(&self, _: Compat) -> Reduction {
        Reduction::AbsMax
    }

    /// Fails if a parameter has a value the function cannot use.
    fn validate(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// Returns how probabilities, or their logarithms, of tokens that are merged into one are merged.
///
/// Those of a chain are multiplied, their logarithms added. Inseq multiplies logarithms too.
pub(super) fn probabilities_merged_by(logarithms: bool, compat: Compat) -> Reduction {
    if logarithms && compat == Compat::None {
        Reduction::Sum
    } else {
        Reduction::Prod
    }
}
