//! `contrast_prob`: the probability of the contrast's token, `q_{y′} = softmax(z′)_{y′}`, or its
//! logarithm.

use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::{Slopes, Step, StepFunction};
use crate::aggregate::Reduction;
use crate::registry::Describe;

/// The probability of the contrast's token.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ContrastProb {
    /// Take the natural log-probability.
    pub logprob: bool,
}

impl Describe for ContrastProb {
    const NAME: &'static str = "contrast_prob";
    const SUMMARY: &'static str =
        "probability of the contrast's token; its logarithm with `logprob`";
}

impl StepFunction for ContrastProb {
    fn value(&self, step: &Step<'_>) -> f64 {
        if self.logprob {
            step.contrast().log_probability(step.contrast_target())
        } else {
            step.contrast().probabilities()[step.contrast_target()]
        }
    }

    fn add_gradient(&self, step: &Step<'_>, slopes: &mut Slopes) {
        let (token, slopes) = (step.contrast_target(), slopes.contrast_logits());
        if self.logprob {
            step.contrast()
                .add_log_probability_slope(token, 1.0, slopes);
        } else {
            step.contrast().add_probability_slope(token, 1.0, slopes);
        }
    }

    fn is_contrastive(&self) -> bool {
        true
    }

    fn merged_by(&self, compat: Compat) -> Reduction {
        super::step_function::probabilities_merged_by(self.logprob, compat)
    }
}
