//! Functions of a step's predictions: one of them is attributed, and any number can be recorded as
//! step scores.
//!
//! A step function has a value and a gradient with respect to the logits; see [`step`] for its
//! inputs. Each has its own file and its own row in [`STEP_FUNCTIONS`].
//! `examples/custom_step_function.rs` shows how to use a function that is not in the table.

pub mod step;
mod step_function;

mod logit;
mod probability;

mod crossentropy;
mod entropy;
mod mc_dropout_prob_avg;
mod perplexity;
mod top_p_size;

mod contrast_logits;
mod contrast_logits_diff;
mod contrast_prob;
mod contrast_prob_diff;
mod in_context_pvi;
mod kl_divergence;
mod pcxmi;

mod expression;

mod log_ratio;
mod nucleus;

use serde_json::{Map, Value};

use crate::Error;
use crate::registry::{self, Describe, Entry};
pub use step::{Prediction, Slopes, Step, StepContrast};
pub use step_function::StepFunction;

/// Every step function, in the order `whence list step-functions` shows them.
pub const STEP_FUNCTIONS: &[Entry<dyn StepFunction>] = &[
    entry::<logit::Logit>(),
    entry::<probability::Probability>(),
    entry::<entropy::Entropy>(),
    entry::<crossentropy::Crossentropy>(),
    entry::<perplexity::Perplexity>(),
    entry::<contrast_logits::ContrastLogits>(),
    entry::<contrast_prob::ContrastProb>(),
    entry::<contrast_logits_diff::ContrastLogitsDiff>(),
    entry::<contrast_prob_diff::ContrastProbDiff>(),
    entry::<pcxmi::Pcxmi>(),
    entry::<kl_divergence::KlDivergence>(),
    entry::<in_context_pvi::InContextPvi>(),
    entry::<mc_dropout_prob_avg::McDropoutProbAvg>(),
    entry::<top_p_size::TopPSize>(),
    entry::<expression::Expression>(),
];

/// Returns whether the function called `name` compares with a contrast; `false` if there is no such
/// function.
pub fn is_contrastive(name: &str) -> bool {
    let function = build(name, &Map::new());
    function.is_ok_and(|function| function.is_contrastive())
}

/// Builds the step function called `name`, which may also be an expression: `expr:…`.
pub(crate) fn build(
    name: &str,
    parameters: &Map<String, Value>,
) -> Result<Box<dyn StepFunction>, Error> {
    if let Some(text) = name.strip_prefix(expression::PREFIX) {
        let mut parameters = parameters.clone();
        parameters.insert("expression".to_owned(), Value::from(text));
        return build("expression", &parameters);
    }
    let function = registry::build(
        STEP_FUNCTIONS,
        name,
        parameters,
        "step function",
        "step-functions",
    )?;
    function.validate()?;
    Ok(function)
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
mod tests;
