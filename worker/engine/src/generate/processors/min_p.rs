//! Restricts sampling to tokens at least `min_p` times as likely as the likeliest token.
//!
//! Source: Nguyen et al. 2024, <https://arxiv.org/abs/2407.01082>.

use super::processor::{Hypothesis, LogitsProcessor, by_score, forbid};
use crate::generate::choices::Choices;
use crate::generate::probabilities::softmax;

#[derive(Debug)]
struct MinP {
    share: f64,
    min_tokens_to_keep: usize,
}

pub(super) fn build(choices: &Choices) -> Result<Option<Box<dyn LogitsProcessor>>, String> {
    match (choices.spec.do_sample, choices.spec.min_p) {
        (Some(true), Some(share)) if !(0.0..=1.0).contains(&share) => {
            Err(format!("`min_p` is {share}, it must be between 0 and 1"))
        }
        (Some(true), Some(share)) => Ok(Some(Box::new(MinP {
            share,
            min_tokens_to_keep: choices.min_tokens_to_keep,
        }))),
        _ => Ok(None),
    }
}

impl LogitsProcessor for MinP {
    fn process(&self, _: &Hypothesis<'_>, scores: &mut [f64]) {
        let probabilities = softmax(scores);
        let largest = probabilities.iter().copied().fold(0.0, f64::max);
        let order = by_score(scores);
        let removed: Vec<_> = order
            .iter()
            .skip(self.min_tokens_to_keep)
            .filter(|&&token| probabilities[token] < self.share * largest)
            .map(|&token| token as u32)
            .collect();
        forbid(scores, &removed);
    }
}
