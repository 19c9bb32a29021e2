//! `contrast_logits_diff`: how far the produced token's logit is above that of the contrast's
//! token, `z_y − z′_{y′}`. Source: Yin and Neubig 2022, <https://arxiv.org/abs/2202.10419>.

use serde::{Deserialize, Serialize};

use super::{Slopes, Step, StepFunction};
use crate::registry::Describe;

/// The difference of the two tokens' logits.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ContrastLogitsDiff {}

impl Describe for ContrastLogitsDiff {
    const NAME: &'static str = "contrast_logits_diff";
    const SUMMARY: &'static str = "logit of the produced token minus that of the contrast's";
}

impl StepFunction for ContrastLogitsDiff {
    fn value(&self, step: &Step<'_>) -> f64 {
        step.prediction().logits()[step.target] - step.contrast().logits()[step.contrast_target()]
    }

    fn add_gradient(&self, step: &Step<'_>, slopes: &mut Slopes) {
        slopes.logits()[step.target] += 1.0;
        slopes.contrast_logits()[step.contrast_target()] -= 1.0;
    }

    fn is_contrastive(&self) -> bool {
        true
    }
}
