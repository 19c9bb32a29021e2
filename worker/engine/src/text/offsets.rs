//! Where the tokens of a generated text are in it.
//!
//! A text that was encoded comes with the ranges of its tokens; of one that was generated only the
//! tokens are known, and what they decode to.

use super::encoding::in_characters;
use super::vocabulary::Vocabulary;
use crate::attribution::Offsets;

impl Vocabulary {
    /// Returns where the tokens of `ids` from number `first` on are in `text`, which all of them
    /// decode to, special tokens left out.
    ///
    /// A token is where the text of the tokens up to it goes beyond the text of those before
    /// it: one decoding a token, since what a token becomes depends on its neighbors.
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

    /// Returns how many bytes of `text` the tokens `ids` decode to, and the same with a last
    /// character they have only some bytes of.
    fn reach(&self, ids: &[u32], text: &str) -> (usize, usize) {
        let decoded = self.decode(ids, true);
        let pairs = text.char_indices().zip(decoded.chars());
        let differing = pairs.clone().find(|((_, a), b)| a != b);
        match differing {
            // An unfinished character is decoded to this one.
            Some(((start, own), char::REPLACEMENT_CHARACTER)) => (start, start + own.len_utf8()),
            Some(((start, _), _)) => (start, start),
            None => {
                let shared = decoded.len().min(text.len());
                (shared, shared)
            }
        }
    }
}
