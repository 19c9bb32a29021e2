//! `logit`: the logit of the produced token, `z_y`. Its gradient is 1 at that token.

use serde::{Deserialize, Serialize};

use super::{Slopes, Step, StepFunction};
use crate::registry::Describe;

/// The logit of the produced token.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Logit {}

impl Describe for Logit {
    const NAME: &'static str = "logit";
    /// Inseq calls it `logits` in its README and `logit` in its registry.
    const ALIASES: &'static [&'static str] = &["logits"];
    const SUMMARY: &'static str = "logit of the produced token";
}

impl StepFunction for Logit {
    fn value(&self, step: &Step<'_>) -> f64 {
        step.prediction().logits()[step.target]
    }

    fn add_gradient(&self, step: &Step<'_>, slopes: &mut Slopes) {
        slopes.logits()[step.target] += 1.0;
    }
}
