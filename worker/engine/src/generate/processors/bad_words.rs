//! Forbids given token sequences: if a hypothesis ends with all tokens of one but the last, that
//! last token is forbidden.

use super::processor::{Hypothesis, LogitsProcessor, forbid};
use crate::generate::choices::Choices;

#[derive(Debug)]
struct BadWords {
    words: Vec<Vec<u32>>,
}

pub(super) fn build(choices: &Choices) -> Result<Option<Box<dyn LogitsProcessor>>, String> {
    let Some(words) = &choices.spec.bad_words_ids else {
        return Ok(None);
    };
    if words.iter().any(Vec::is_empty) {
        return Err("`bad_words_ids` has an empty list, a word has one token at least".to_owned());
    }
    // A single token that ends a sequence is never forbidden, or no sequence would end.
    let ends = |word: &Vec<u32>| matches!(word.as_slice(), [token] if choices.end.contains(token));
    let words: Vec<_> = words.iter().filter(|word| !ends(word)).cloned().collect();
    Ok(Some(Box::new(BadWords { words })))
}

impl LogitsProcessor for BadWords {
    fn process(&self, hypothesis: &Hypothesis<'_>, scores: &mut [f64]) {
        for word in &self.words {
            if let Some((last, first)) = word.split_last()
                && hypothesis.tokens.ends_with(first)
            {
                forbid(scores, &[*last]);
            }
        }
    }
}
