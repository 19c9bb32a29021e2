//! `probability`: the probability of the produced token, `p_y = softmax(z)_y`, or its logarithm.
//!
//! `∂p_y/∂z = p_y (e_y − p)`, `∂log p_y/∂z = e_y − p`. The entry at `y` is written as the sum of the
//! other probabilities, which keeps its digits where `p_y` is nearly 1.

use serde::{Deserialize, Serialize};

use super::{LogitGradient, StepFunction, StepLogits};
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
    fn value(&self, step: &StepLogits<'_>) -> f64 {
        if self.logprob {
            let largest = step
                .logits
                .iter()
                .copied()
                .fold(f64::NEG_INFINITY, f64::max);
            let normalizer = step
                .logits
                .iter()
                .map(|z| (z - largest).exp())
                .sum::<f64>()
                .ln()
                + largest;
            return step.logits[step.target] - normalizer;
        }
        step.probabilities()[step.target]
    }

    fn gradient(&self, step: &StepLogits<'_>) -> LogitGradient {
        let probabilities = step.probabilities();
        let factor = if self.logprob {
            1.0
        } else {
            probabilities[step.target]
        };
        let mut gradient: Vec<f64> = probabilities.iter().map(|p| -factor * p).collect();
        gradient[step.target] = 0.0;
        gradient[step.target] = -gradient.iter().sum::<f64>();
        LogitGradient::Dense(gradient)
    }
}
