//! `probability`: the probability of the produced token, `p_y = softmax(z)_y`, or its logarithm.

use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::{Slopes, Step, StepFunction};
use crate::aggregate::Reduction;
use crate::registry::Describe;

/// The probability of the produced token.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Probability {
    /// Take the natural logarithm.
    pub logprob: bool,
}

impl Describe for Probability {
    const NAME: &'static str = "probability";
    const SUMMARY: &'static str = "probability of the produced token; its logarithm with `logprob`";
}

impl StepFunction for Probability {
    fn value(&self, step: &Step<'_>) -> f64 {
        if self.logprob {
            step.prediction().log_probability(step.target)
        } else {
            step.prediction().probabilities()[step.target]
        }
    }

    fn add_gradient(&self, step: &Step<'_>, slopes: &mut Slopes) {
        let (prediction, slopes) = (step.prediction(), slopes.logits());
        if self.logprob {
            prediction.add_log_probability_slope(step.target, 1.0, slopes);
        } else {
            prediction.add_probability_slope(step.target, 1.0, slopes);
        }
    }

    fn merged_by(&self, compat: Compat) -> Reduction {
        super::step_function::probabilities_merged_by(self.logprob, compat)
    }
}
