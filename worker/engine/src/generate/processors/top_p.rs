//! Restricts sampling to the likeliest tokens that together reach probability `p`.
//!
//! Source: Holtzman et al. 2019, <https://arxiv.org/abs/1904.09751>. As in transformers, the token
//! that crosses `p` is still allowed.

use super::processor::{Hypothesis, LogitsProcessor, by_score, forbid};
use crate::generate::choices::Choices;
use crate::generate::probabilities::softmax;

#[derive(Debug)]
struct TopP {
    mass: f64,
    min_tokens_to_keep: usize,
}

pub(super) fn build(choices: &Choices) -> Result<Option<Box<dyn LogitsProcessor>>, String> {
    match (choices.spec.do_sample, choices.spec.top_p) {
        (Some(true), Some(mass)) if !(0.0..=1.0).contains(&mass) => {
            Err(format!("`top_p` is {mass}, it must be between 0 and 1"))
        }
        (Some(true), Some(mass)) if mass < 1.0 => Ok(Some(Box::new(TopP {
            mass,
            min_tokens_to_keep: choices.min_tokens_to_keep,
        }))),
        _ => Ok(None),
    }
}

impl LogitsProcessor for TopP {
    fn process(&self, _: &Hypothesis<'_>, scores: &mut [f64]) {
        let probabilities = softmax(scores);
        let order = by_score(scores);
        let mut removed = Vec::new();
        // Summed from the least likely token up, as in transformers, so that rounding agrees.
        let mut below = 0.0;
        for &token in order.iter().skip(self.min_tokens_to_keep).rev() {
            below += probabilities[token];
            if below > 1.0 - self.mass {
                break;
            }
            removed.push(token as u32);
        }
        forbid(scores, &removed);
    }
}
