//! Encoded examples and what each is contrasted with: plain data.

use std::ops::Range;

/// One example, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    /// Number of the example. Together with the job's seed it seeds the example's random draws.
    pub id: i64,
    /// Tokens of the encoder; empty for decoder-only models.
    pub source: Vec<u32>,
    /// The baseline of each of them.
    pub source_baseline: Vec<u32>,
    /// Tokens of the decoder.
    pub target: Vec<u32>,
    /// The baseline of each of them.
    pub target_baseline: Vec<u32>,
    /// Positions of the target to explain. Position 0 is never among them: nothing precedes and
    /// thus predicts it.
    pub explained: Range<usize>,
    /// What it is contrasted with.
    pub contrast: Option<Contrast>,
}

impl Instance {
    /// Returns the decoder's input: all tokens before the last explained one.
    pub(crate) fn decoder_input(&self) -> &[u32] {
        &self.target[..self.explained.end - 1]
    }

    /// Returns the baseline of each token of [`Self::decoder_input`].
    pub(crate) fn decoder_baseline(&self) -> &[u32] {
        &self.target_baseline[..self.explained.end - 1]
    }
}

/// What an example is contrasted with, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contrast {
    /// Tokens of the encoder; empty for decoder-only models.
    pub source: Vec<u32>,
    /// Tokens of the decoder.
    pub target: Vec<u32>,
    /// For each explained position, the position in `target` it is paired with. It is at least 1,
    /// so that there is a prefix that predicts the token.
    pub aligned: Vec<usize>,
}

impl Contrast {
    /// Returns the token paired with explained token number `index`.
    pub(crate) fn token(&self, index: usize) -> u32 {
        self.target[self.aligned[index]]
    }

    /// Returns whether the token paired with `position` of `instance` follows exactly the same
    /// prefix as the token at `position`.
    pub(crate) fn has_prefix_of(&self, instance: &Instance, position: usize) -> bool {
        let aligned = self.aligned[position - instance.explained.start];
        self.target[..aligned] == instance.target[..position]
    }

    /// Returns the decoder's input: all tokens before the last paired one.
    pub(crate) fn decoder_input(&self) -> &[u32] {
        let last = self.aligned.iter().max().copied().unwrap_or(1);
        &self.target[..last]
    }
}
