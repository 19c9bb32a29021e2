//! Offsets of the tokens of a generated text.
//!
//! Encoding a text returns the ranges of its tokens. For a generated text only the tokens are
//! known, and what they decode to.

use super::encoding::in_characters;
use super::vocabulary::Vocabulary;
use crate::attribution::Offsets;

impl Vocabulary {
    /// Returns the character offsets in `text` of the tokens of `ids` from index `first` on.
    /// `text` is what all of `ids` decode to, special tokens left out.
    ///
    /// A token covers what it adds to the text of the tokens before it. This takes one decoding
    /// per token, because what a token decodes to depends on its neighbors.
    pub(crate) fn offsets_in_decoded(&self, ids: &[u32], first: usize, text: &str) -> Vec<Offsets> {
        let (mut done, _) = self.reach(&ids[..first], text);
        let range = |index: usize| {
            let start = done;
            let (whole, begun) = self.reach(&ids[..=index], text);
            done = done.max(whole);
            let range = (start, begun.max(start));
            (range.1 > start || !self.is_special(ids[index])).then_some(range)
        };
        let ranges: Vec<_> = (first..ids.len()).map(range).collect();
        in_characters(text, &ranges)
    }

    /// Returns how many bytes of `text` the tokens `ids` decode to: first counting complete
    /// characters only, then with a last character of which only some bytes are there.
    fn reach(&self, ids: &[u32], text: &str) -> (usize, usize) {
        let decoded = self.decode(ids, true);
        let pairs = text.char_indices().zip(decoded.chars());
        let differing = pairs.clone().find(|((_, a), b)| a != b);
        match differing {
            // An incomplete character decodes to the replacement character.
            Some(((start, own), char::REPLACEMENT_CHARACTER)) => (start, start + own.len_utf8()),
            Some(((start, _), _)) => (start, start),
            None => {
                let shared = decoded.len().min(text.len());
                (shared, shared)
            }
        }
    }
}
