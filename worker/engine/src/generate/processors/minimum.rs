//! Forbids end tokens until a sequence has its minimum length.

use super::processor::{Hypothesis, LogitsProcessor, forbid};
use crate::generate::choices::Choices;

#[derive(Debug)]
struct Minimum {
    new_tokens: usize,
    /// Minimum length in tokens, prompt included.
    length: usize,
    end: Vec<u32>,
}

pub(super) fn build(choices: &Choices) -> Result<Option<Box<dyn LogitsProcessor>>, String> {
    let new_tokens = choices.spec.min_new_tokens.unwrap_or(0);
    let length = choices.spec.min_length.unwrap_or(0);
    if new_tokens == 0 && length == 0 {
        return Ok(None);
    }
    Ok(Some(Box::new(Minimum {
        new_tokens,
        length,
        end: choices.end.clone(),
    })))
}

impl LogitsProcessor for Minimum {
    fn process(&self, hypothesis: &Hypothesis<'_>, scores: &mut [f64]) {
        let length = hypothesis.tokens.len();
        if length < self.length || length < hypothesis.prompt + self.new_tokens {
            forbid(scores, &self.end);
        }
    }
}
