//! `top_p_size`: the number of tokens that nucleus sampling would choose from.
//!
//! It is the size of the smallest set of most probable tokens whose probabilities sum to `top_p`.
//! In Inseq's terms: with tokens sorted ascending, a token is kept if the sum of probabilities up
//! to and including it exceeds `1 − top_p`. A count has no gradient.

use serde::{Deserialize, Serialize};

use super::{Slopes, Step, StepFunction, nucleus};
use crate::Error;
use crate::registry::Describe;

/// The size of the nucleus.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TopPSize {
    /// Smallest total probability of the nucleus; between 0 and 1.
    pub top_p: f64,
}

impl Default for TopPSize {
    /// The usual setting of nucleus sampling. Inseq has no default.
    fn default() -> Self {
        Self { top_p: 0.9 }
    }
}

impl Describe for TopPSize {
    const NAME: &'static str = "top_p_size";
    const SUMMARY: &'static str = "number of tokens nucleus sampling would choose among";
}

impl StepFunction for TopPSize {
    fn value(&self, step: &Step<'_>) -> f64 {
        nucleus::top_p(step.prediction().probabilities(), self.top_p, 1).len() as f64
    }

    fn add_gradient(&self, _: &Step<'_>, _: &mut Slopes) {}

    fn is_differentiable(&self) -> bool {
        false
    }

    fn validate(&self) -> Result<(), Error> {
        nucleus::check_top_p(Self::NAME, self.top_p)
    }
}
