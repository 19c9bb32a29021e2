//! Tokens that are never generated, or never generated first.

use super::processor::{Hypothesis, LogitsProcessor, forbid};
use crate::generate::choices::Choices;

#[derive(Debug)]
struct Suppress(Vec<u32>);

#[derive(Debug)]
struct SuppressFirst {
    tokens: Vec<u32>,
    /// Whether the first free token follows a forced one, if the prompt is a single token.
    behind_forced: bool,
}

pub(super) fn build(choices: &Choices) -> Result<Option<Box<dyn LogitsProcessor>>, String> {
    let tokens = choices.spec.suppress_tokens.clone();
    Ok(tokens.map(|tokens| Box::new(Suppress(tokens)) as Box<dyn LogitsProcessor>))
}

pub(super) fn build_first(choices: &Choices) -> Result<Option<Box<dyn LogitsProcessor>>, String> {
    let Some(tokens) = choices.spec.begin_suppress_tokens.clone() else {
        return Ok(None);
    };
    let behind_forced = choices.spec.forced_bos_token_id.is_some();
    Ok(Some(Box::new(SuppressFirst {
        tokens,
        behind_forced,
    })))
}

impl LogitsProcessor for Suppress {
    fn process(&self, _: &Hypothesis<'_>, scores: &mut [f64]) {
        forbid(scores, &self.0);
    }
}

impl LogitsProcessor for SuppressFirst {
    fn process(&self, hypothesis: &Hypothesis<'_>, scores: &mut [f64]) {
        let forced = usize::from(self.behind_forced && hypothesis.prompt == 1);
        if hypothesis.tokens.len() == hypothesis.prompt + forced {
            forbid(scores, &self.tokens);
        }
    }
}
