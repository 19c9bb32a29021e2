//! `contrast_prob_diff`: how much more probable the produced token is than the contrast's,
//! `p_y − q_{y′}`, or the difference of the log-probabilities. Source: Yin and Neubig 2022,
//! <https://arxiv.org/abs/2202.10419>.

use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::{Slopes, Step, StepFunction, log_ratio};
use crate::aggregate::Reduction;
use crate::registry::Describe;

/// The difference of the two tokens' probabilities.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ContrastProbDiff {
    /// Take the difference of natural log-probabilities.
    pub logprob: bool,
}

impl Describe for ContrastProbDiff {
    const NAME: &'static str = "contrast_prob_diff";
    const SUMMARY: &'static str = "probability of the produced token minus that of the contrast's; of logarithms with `logprob`";
}

impl StepFunction for ContrastProbDiff {
    fn value(&self, step: &Step<'_>) -> f64 {
        if self.logprob {
            return log_ratio::value(step);
        }
        let contrast = step.contrast().probabilities()[step.contrast_target()];
        step.prediction().probabilities()[step.target] - contrast
    }

    fn add_gradient(&self, step: &Step<'_>, slopes: &mut Slopes) {
        if self.logprob {
            return log_ratio::add_gradient(step, 1.0, slopes);
        }
        let prediction = step.prediction();
        prediction.add_probability_slope(step.target, 1.0, slopes.logits());
        let token = step.contrast_target();
        step.contrast()
            .add_probability_slope(token, -1.0, slopes.contrast_logits());
    }

    fn is_contrastive(&self) -> bool {
        true
    }

    fn merged_by(&self, compat: Compat) -> Reduction {
        super::step_function::probabilities_merged_by(self.logprob, compat)
    }
}
