//! Tokens that a sequence must begin or end with, such as a target language's code or an end
//! token.

use super::processor::{Hypothesis, LogitsProcessor, force};
use crate::generate::choices::Choices;

#[derive(Debug)]
struct ForcedStart(u32);

#[derive(Debug)]
struct ForcedEnd(Vec<u32>);

pub(super) fn build_start(choices: &Choices) -> Result<Option<Box<dyn LogitsProcessor>>, String> {
    let token = choices.spec.forced_bos_token_id;
    Ok(token.map(|token| Box::new(ForcedStart(token)) as Box<dyn LogitsProcessor>))
}

pub(super) fn build_end(choices: &Choices) -> Result<Option<Box<dyn LogitsProcessor>>, String> {
    let tokens = choices.spec.forced_eos_token_id.clone();
    Ok(tokens.map(|tokens| Box::new(ForcedEnd(tokens)) as Box<dyn LogitsProcessor>))
}

impl LogitsProcessor for ForcedStart {
    /// Forces the first token only if the prompt is the start token alone, as in transformers: a
    /// longer prompt already contains its beginning.
    fn process(&self, hypothesis: &Hypothesis<'_>, scores: &mut [f64]) {
        if hypothesis.tokens.len() == 1 {
            force(scores, &[self.0]);
        }
    }
}

impl LogitsProcessor for ForcedEnd {
    fn process(&self, hypothesis: &Hypothesis<'_>, scores: &mut [f64]) {
        if hypothesis.tokens.len() + 1 == hypothesis.max_length {
            force(scores, &self.0);
        }
    }
}
