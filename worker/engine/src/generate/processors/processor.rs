//! The interface of score processors, and the basic operations on scores.

use std::fmt::Debug;

/// A sequence that is being continued.
#[derive(Debug, Clone, Copy)]
pub(in crate::generate) struct Hypothesis<'h> {
    /// The prompt and the tokens generated so far.
    pub(in crate::generate) tokens: &'h [u32],
    /// Length of the prompt, in tokens.
    pub(in crate::generate) prompt: usize,
    /// Maximum length of prompt and continuation together, in tokens.
    pub(in crate::generate) max_length: usize,
}

/// Changes the scores of the next token.
pub(in crate::generate) trait LogitsProcessor: Debug + Send + Sync {
    /// Changes `scores`, one per token of the vocabulary. Minus infinity forbids a token.
    fn process(&self, hypothesis: &Hypothesis<'_>, scores: &mut [f64]);
}

/// Forbids `tokens`. Ids beyond the vocabulary are ignored: they cannot be generated anyway.
pub(super) fn forbid(scores: &mut [f64], tokens: &[u32]) {
    for &token in tokens {
        if let Some(score) = scores.get_mut(token as usize) {
            *score = f64::NEG_INFINITY;
        }
    }
}

/// Forbids every token except `tokens`, which become equally likely.
pub(super) fn force(scores: &mut [f64], tokens: &[u32]) {
    scores.fill(f64::NEG_INFINITY);
    for &token in tokens {
        if let Some(score) = scores.get_mut(token as usize) {
            *score = 0.0;
        }
    }
}

/// Forbids the tokens that score lower than the `kept`-th best one.
pub(super) fn keep_best(scores: &mut [f64], kept: usize) {
    if kept >= scores.len() || kept == 0 {
        return;
    }
    let mut sorted = scores.to_vec();
    let (_, &mut threshold, _) = sorted.select_nth_unstable_by(kept - 1, |a, b| b.total_cmp(a));
    for score in scores {
        if *score < threshold {
            *score = f64::NEG_INFINITY;
        }
    }
}

/// Returns the token ids sorted by score, best first.
pub(super) fn by_score(scores: &[f64]) -> Vec<usize> {
    let mut tokens: Vec<_> = (0..scores.len()).collect();
    tokens.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    tokens
}
