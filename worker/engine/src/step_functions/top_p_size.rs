//! `top_p_size`: how many tokens nucleus sampling would choose among.
//!
//! The fewest of the likeliest tokens whose probabilities reach `top_p` together. In Inseq's terms:
//! sorted ascending, a token is kept if the probabilities up to and including it exceed
//! `1 − top_p`. A count has no gradient.

use serde::{Deserialize, Serialize};

use super::{Slopes, Step, StepFunction, nucleus};
use crate::Error;
use crate::registry::Describe;

/// The size of the nucleus.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TopPSize {
    /// Probability the nucleus holds at least; between 0 and 1.
    pub top_p: f64,
}

impl Default for TopPSize {
    /// Inseq has no default; the usual setting of nucleus sampling.
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
