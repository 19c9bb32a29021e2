//! Examples whose texts are tokens, and what each is contrasted with: plain data.

use std::ops::Range;

/// One example, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    /// Number of the example; seeds what is random for it.
    pub id: i64,
    /// Tokens of the encoder; empty for decoder-only models.
    pub source: Vec<u32>,
    /// What each of them is compared with.
    pub source_baseline: Vec<u32>,
    /// Tokens of the decoder.
    pub target: Vec<u32>,
    /// What each of them is compared with.
    pub target_baseline: Vec<u32>,
    /// Positions of the target to explain. Position 0 has nothing before it.
    pub explained: Range<usize>,
    /// What it is contrasted with.
    pub contrast: Option<Contrast>,
}

impl Instance {
    /// Returns the tokens the decoder must see for its last explained token to be predicted.
    pub(crate) fn decoder_input(&self) -> &[u32] {
        &self.target[..self.explained.end - 1]
    }

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
    /// Position in `target` that each explained position is paired with. Each has a prefix.
    pub aligned: Vec<usize>,
}

impl Contrast {
    /// Returns the token paired with the explained token number `index`.
    pub(crate) fn token(&self, index: usize) -> u32 {
        self.target[self.aligned[index]]
    }

    /// Returns whether the token paired with the one at `position` of `instance` comes after the very
    /// prefix that one comes after.
    pub(crate) fn has_prefix_of(&self, instance: &Instance, position: usize) -> bool {
        let aligned = self.aligned[position - instance.explained.start];
        self.target[..aligned] == instance.target[..position]
    }

    /// Returns the tokens the decoder must see for every paired token to be predicted.
    pub(crate) fn decoder_input(&self) -> &[u32] {
        let last = self.aligned.iter().max().copied().unwrap_or(1);
        &self.target[..last]
    }
}
