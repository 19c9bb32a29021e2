//! `logit`: the logit of the produced token, `z_y`. Its gradient is 1 at that token.

use serde::{Deserialize, Serialize};

use super::{LogitGradient, StepFunction, StepLogits};
use crate::registry::Describe;

/// The logit of the produced token.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Logit {}

impl Describe for Logit {
    const NAME: &'static str = "logit";
    /// Inseq's README says `logits`, its registry `logit`.
    const ALIASES: &'static [&'static str] = &["logits"];
    const SUMMARY: &'static str = "logit of the produced token";
}

impl StepFunction for Logit {
    fn value(&self, step: &StepLogits<'_>) -> f64 {
        step.logits[step.target]
    }

    fn gradient(&self, _: &StepLogits<'_>) -> LogitGradient {
        LogitGradient::AtTarget(1.0)
    }
}
