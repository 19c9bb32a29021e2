//! Prompts, and the interface of a search for their continuation.

/// A text to be continued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Encoder tokens; empty for decoder-only models.
    pub source: Vec<u32>,
    /// Decoder tokens, at least one.
    pub ids: Vec<u32>,
    /// The job's seed and the example's id. Sampling for this prompt depends on nothing else, so a
    /// result does not change with the batch.
    pub seed: (u64, i64),
}

/// The search for the continuation of one prompt.
pub(super) trait Search {
    /// Takes the scores of every running hypothesis; in the first step there is only one, the
    /// prompt. Returns the hypotheses to continue. If there are none, the search is over.
    fn advance(&mut self, scores: Vec<Vec<f64>>) -> Vec<Extended>;

    /// Returns the new tokens of every sequence, best first.
    fn sequences(self: Box<Self>) -> Vec<Vec<u32>>;
}

/// A hypothesis extended by one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extended {
    /// Index of the hypothesis that it extends, in the previous step.
    pub(super) parent: usize,
    pub(super) token: u32,
}
