//! `contrast_logits`: the logit of the contrast's token, `z′_{y′}`.

use serde::{Deserialize, Serialize};

use super::{Slopes, Step, StepFunction};
use crate::registry::Describe;

/// The logit of the contrast's token.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ContrastLogits {}

impl Describe for ContrastLogits {
    const NAME: &'static str = "contrast_logits";
    const SUMMARY: &'static str = "logit of the contrast's token";
}

impl StepFunction for ContrastLogits {
    fn value(&self, step: &Step<'_>) -> f64 {
        step.contrast().logits()[step.contrast_target()]
    }

    fn add_gradient(&self, step: &Step<'_>, slopes: &mut Slopes) {
        slopes.contrast_logits()[step.contrast_target()] += 1.0;
    }

    fn is_contrastive(&self) -> bool {
        true
    }
}
