//! Restricts sampling to the `k` likeliest tokens, and to those that tie with the last of them.
//!
//! Source: Fan et al. 2018, <https://arxiv.org/abs/1805.04833>.

use super::processor::{Hypothesis, LogitsProcessor, keep_best};
use crate::generate::choices::Choices;

#[derive(Debug)]
struct TopK(usize);

pub(super) fn build(choices: &Choices) -> Result<Option<Box<dyn LogitsProcessor>>, String> {
    match (choices.spec.do_sample, choices.spec.top_k) {
        (Some(true), Some(k)) if k > 0 => {
            Ok(Some(Box::new(TopK(k.max(choices.min_tokens_to_keep)))))
        }
        _ => Ok(None),
    }
}

impl LogitsProcessor for TopK {
    fn process(&self, _: &Hypothesis<'_>, scores: &mut [f64]) {
        keep_best(scores, self.0);
    }
}
