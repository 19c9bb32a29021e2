//! Makes tokens that already occurred less likely.
//!
//! Source: Keskar et al. 2019, <https://arxiv.org/abs/1909.05858>. As in transformers, tokens of a
//! decoder-only model's prompt count as well.

use super::processor::{Hypothesis, LogitsProcessor};
use crate::generate::choices::Choices;

#[derive(Debug)]
struct RepetitionPenalty(f64);

pub(super) fn build(choices: &Choices) -> Result<Option<Box<dyn LogitsProcessor>>, String> {
    match choices.spec.repetition_penalty {
        None | Some(1.0) => Ok(None),
        Some(penalty) if penalty > 0.0 => Ok(Some(Box::new(RepetitionPenalty(penalty)))),
        Some(penalty) => Err(format!(
            "`repetition_penalty` is {penalty}, it must be above 0"
        )),
    }
}

impl LogitsProcessor for RepetitionPenalty {
    fn process(&self, hypothesis: &Hypothesis<'_>, scores: &mut [f64]) {
        let mut seen = hypothesis.tokens.to_vec();
        seen.sort_unstable();
        seen.dedup();
        for token in seen {
            if let Some(score) = scores.get_mut(token as usize) {
                // Either way, the token becomes less likely: dividing a negative score would raise
                // it.
                *score = if *score < 0.0 {
                    *score * self.0
                } else {
                    *score / self.0
                };
            }
        }
    }
}
