//! `crossentropy`: the surprisal of the produced token, `−log p_y`, in nats.
//!
//! Inseq fails if a batch holds a single sequence; this function does not.

use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::{Slopes, Step, StepFunction};
use crate::aggregate::Reduction;
use crate::registry::Describe;

/// The surprisal of the produced token.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Crossentropy {}

impl Describe for Crossentropy {
    const NAME: &'static str = "crossentropy";
    const SUMMARY: &'static str = "negative log-probability of the produced token, in nats";
}

impl StepFunction for Crossentropy {
    fn value(&self, step: &Step<'_>) -> f64 {
        -step.prediction().log_probability(step.target)
    }

    fn add_gradient(&self, step: &Step<'_>, slopes: &mut Slopes) {
        step.prediction()
            .add_log_probability_slope(step.target, -1.0, slopes.logits());
    }

    fn merged_by(&self, _: Compat) -> Reduction {
        Reduction::Sum
    }
}
