//! `entropy`: how uncertain the model's prediction is, `H = −Σ_v p_v log p_v`, in nats.
//!
//! `∂H/∂z_v = −p_v (log p_v + H)`. A token with probability zero contributes nothing to either.

use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::{Prediction, Slopes, Step, StepFunction};
use crate::aggregate::Reduction;
use crate::registry::Describe;

/// The entropy of the prediction.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Entropy {}

impl Describe for Entropy {
    const NAME: &'static str = "entropy";
    const SUMMARY: &'static str = "entropy of the model's prediction, in nats";
}

fn entropy(prediction: &Prediction<'_>) -> f64 {
    let terms = prediction.probabilities().iter().enumerate();
    -terms
        .filter(|(_, p)| **p > 0.0)
        .map(|(token, p)| p * prediction.log_probability(token))
        .sum::<f64>()
}

impl StepFunction for Entropy {
    fn value(&self, step: &Step<'_>) -> f64 {
        entropy(step.prediction())
    }

    fn add_gradient(&self, step: &Step<'_>, slopes: &mut Slopes) {
        let prediction = step.prediction();
        let entropy = entropy(prediction);
        let tokens = slopes.logits().iter_mut().zip(prediction.probabilities());
        for (token, (slope, p)) in tokens.enumerate() {
            if *p > 0.0 {
                *slope -= p * (prediction.log_probability(token) + entropy);
            }
        }
    }

    fn merged_by(&self, _: Compat) -> Reduction {
        Reduction::Sum
    }
}
