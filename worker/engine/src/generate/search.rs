//! What is continued, and what a search for its continuation must answer.

/// What is to be continued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Tokens of the encoder; empty for decoder-only models.
    pub source: Vec<u32>,
    /// Tokens of the decoder, one at least.
    pub ids: Vec<u32>,
    /// The job's seed and the example's id: what is drawn for this prompt depends on nothing else.
    pub seed: (u64, i64),
}

/// What becomes of one prompt.
pub(super) trait Search {
    /// Takes the scores of every running hypothesis; in the first step there is one, the prompt.
    /// Returns the hypotheses that run on. None means that the search is over.
    fn advance(&mut self, scores: Vec<Vec<f64>>) -> Vec<Extended>;

    /// Returns the new tokens of every sequence, best first.
    fn sequences(self: Box<Self>) -> Vec<Vec<u32>>;
}

/// A hypothesis, one token longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extended {
    /// Which of the hypotheses of the step before it continues.
    pub(super) parent: usize,
    pub(super) token: u32,
}
