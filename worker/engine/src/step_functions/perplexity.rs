//! `perplexity`: the number of equally probable tokens that would leave the model as uncertain,
//! `exp(−log p_y) = 1 / p_y`.
//!
//! Inseq computes the cross-entropy in nats but exponentiates it with base 2: `2^(−log p_y)`.
//! `compat = inseq-0.7.1` does the same.

use std::f64::consts::{E, LN_2};

use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::{Slopes, Step, StepFunction};
use crate::aggregate::Reduction;
use crate::registry::Describe;

/// The perplexity of the produced token.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Perplexity {}

impl Describe for Perplexity {
    const NAME: &'static str = "perplexity";
    const SUMMARY: &'static str = "one over the probability of the produced token";
}

/// Returns the perplexity and the natural logarithm of its base.
fn perplexity(step: &Step<'_>) -> (f64, f64) {
    let crossentropy = -step.prediction().log_probability(step.target);
    match step.compat {
        Compat::None => (E.powf(crossentropy), 1.0),
        Compat::Inseq071 => (crossentropy.exp2(), LN_2),
    }
}

impl StepFunction for Perplexity {
    fn value(&self, step: &Step<'_>) -> f64 {
        perplexity(step).0
    }

    fn add_gradient(&self, step: &Step<'_>, slopes: &mut Slopes) {
        let (perplexity, log_base) = perplexity(step);
        step.prediction().add_log_probability_slope(
            step.target,
            -log_base * perplexity,
            slopes.logits(),
        );
    }

    fn merged_by(&self, _: Compat) -> Reduction {
        Reduction::Prod
    }
}
