//! Functions of a step's logits: what is attributed, and what is recorded beside it.
//!
//! A step function has a value and a gradient with respect to the logits, both in double precision
//! whatever the model computes in: the logits of a saturated step differ from their sum by less
//! than single precision can hold.

mod logit;
mod probability;

use std::cell::OnceCell;

use serde_json::{Map, Value};

use crate::Error;
use crate::kernels::softmax_in_place;
use crate::registry::{self, Describe, Entry};

/// Every step function, in the order `whence list step-functions` shows them.
pub const STEP_FUNCTIONS: &[Entry<dyn StepFunction>] =
    &[entry::<probability::Probability>(), entry::<logit::Logit>()];

/// A function of one step's logits.
pub trait StepFunction: std::fmt::Debug + Send + Sync {
    /// Returns the value.
    fn value(&self, step: &StepLogits<'_>) -> f64;

    /// Returns the gradient of the value with respect to the logits.
    fn gradient(&self, step: &StepLogits<'_>) -> LogitGradient;
}

/// The gradient of a step function with respect to the logits.
#[derive(Debug, Clone, PartialEq)]
pub enum LogitGradient {
    /// Zero but at the target token.
    AtTarget(f64),
    /// One entry a token.
    Dense(Vec<f64>),
}

/// The logits of one step, and what several step functions derive from them.
#[derive(Debug)]
pub struct StepLogits<'a> {
    /// One logit a token.
    pub logits: &'a [f64],
    /// The token that was produced.
    pub target: usize,
    probabilities: OnceCell<Vec<f64>>,
}

impl<'a> StepLogits<'a> {
    /// Wraps the logits of the step that produced `target`.
    pub fn new(logits: &'a [f64], target: usize) -> Self {
        Self {
            logits,
            target,
            probabilities: OnceCell::new(),
        }
    }

    /// Returns the softmax of the logits.
    pub fn probabilities(&self) -> &[f64] {
        self.probabilities.get_or_init(|| {
            let mut probabilities = self.logits.to_vec();
            softmax_in_place(&mut probabilities);
            probabilities
        })
    }
}

/// Builds the step function called `name`.
pub(crate) fn build(
    name: &str,
    parameters: &Map<String, Value>,
) -> Result<Box<dyn StepFunction>, Error> {
    registry::build(
        STEP_FUNCTIONS,
        name,
        parameters,
        "step function",
        "step-functions",
    )
}

const fn entry<F: StepFunction + Describe + 'static>() -> Entry<dyn StepFunction> {
    Entry {
        name: F::NAME,
        aliases: F::ALIASES,
        summary: F::SUMMARY,
        parameters: registry::parameters::<F>,
        build: |parameters| Ok(Box::new(registry::read::<F>(parameters)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every step function's gradient against central differences, at a spread-out and a nearly
    /// saturated step.
    #[test]
    fn every_gradient_is_the_slope_of_its_value() {
        const STEP: f64 = 1e-6;
        for entry in STEP_FUNCTIONS {
            let function = build(entry.name, &Map::new()).unwrap();
            for logits in [vec![0.3, -1.2, 2.0, 0.9], vec![9.0, -3.0, 0.0, 1.0]] {
                let gradient = match function.gradient(&StepLogits::new(&logits, 2)) {
                    LogitGradient::Dense(gradient) => gradient,
                    LogitGradient::AtTarget(slope) => vec![0.0, 0.0, slope, 0.0],
                };
                for index in 0..logits.len() {
                    let value_at = |offset: f64| {
                        let mut moved = logits.clone();
                        moved[index] += offset;
                        function.value(&StepLogits::new(&moved, 2))
                    };
                    let slope = (value_at(STEP) - value_at(-STEP)) / (2.0 * STEP);
                    let error = (slope - gradient[index]).abs();
                    assert!(
                        error < 1e-9,
                        "{} at logit {index}: {slope} against {}",
                        entry.name,
                        gradient[index]
                    );
                }
            }
        }
    }

    #[test]
    fn an_alias_names_the_same_function() {
        assert_eq!(
            format!("{:?}", build("logits", &Map::new()).unwrap()),
            "Logit"
        );
    }
}
