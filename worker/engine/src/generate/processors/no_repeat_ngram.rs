//! Forbids tokens that would repeat a sequence of `n` tokens, prompt included.
//!
//! Source: Paulus et al. 2017, <https://arxiv.org/abs/1705.04304>.

use super::processor::{Hypothesis, LogitsProcessor, forbid};
use crate::generate::choices::Choices;

#[derive(Debug)]
struct NoRepeatNgram {
    size: usize,
}

pub(super) fn build(choices: &Choices) -> Result<Option<Box<dyn LogitsProcessor>>, String> {
    match choices.spec.no_repeat_ngram_size {
        None | Some(0) => Ok(None),
        Some(size) => Ok(Some(Box::new(NoRepeatNgram { size }))),
    }
}

impl LogitsProcessor for NoRepeatNgram {
    fn process(&self, hypothesis: &Hypothesis<'_>, scores: &mut [f64]) {
        let tokens = hypothesis.tokens;
        if tokens.len() < self.size {
            return;
        }
        let (_, beginning) = tokens.split_at(tokens.len() + 1 - self.size);
        let completes = |ngram: &[u32]| {
            let (last, first) = ngram.split_last()?;
            (first == beginning).then_some(*last)
        };
        let repeated: Vec<_> = tokens.windows(self.size).filter_map(completes).collect();
        forbid(scores, &repeated);
    }
}
