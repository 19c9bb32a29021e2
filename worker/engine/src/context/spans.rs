//! Which tokens a part of a text has, by the characters they cover.
//!
//! Counting the tokens of each part encoded by itself would not do: a word can be other tokens
//! behind a blank or another word, and the tokenizer puts tokens of its own around a text.

use std::ops::Range;

use crate::attribution::Offsets;

/// Returns the positions of the tokens that cover a character of `span`, or stand for nothing
/// within it. Tokens that come from no text are never among them.
pub(super) fn positions(offsets: &[Offsets], span: &Range<usize>) -> Vec<usize> {
    let is_within = |&(start, end): &(usize, usize)| {
        if start == end {
            span.contains(&start)
        } else {
            start < span.end && span.start < end
        }
    };
    let numbered = offsets.iter().enumerate();
    numbered
        .filter(|(_, offsets)| offsets.as_ref().is_some_and(is_within))
        .map(|(position, _)| position)
        .collect()
}

/// The tokens of a text that stands within a longer one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) ids: &'a [u32],
    pub(super) offsets: &'a [Offsets],
    pub(super) positions: &'a [usize],
    /// Character of the longer text at which the text begins.
    pub(super) start: usize,
}

impl Part<'_> {
    fn ids(&self) -> impl Iterator<Item = u32> {
        self.positions.iter().map(|&position| self.ids[position])
    }

    /// Returns how many characters of the text are done with the token at `position`.
    fn done(&self, position: usize) -> usize {
        self.offsets[position].map_or(0, |(_, end)| end.saturating_sub(self.start))
    }
}

/// Pairs each token of `own` with the position in `other` of the token that completes the same
/// character. Both are the same text, within different ones.
///
/// Usually both have the same tokens. They differ where the text merges with what precedes it.
pub(super) fn counterparts(own: Part<'_>, other: Part<'_>) -> Vec<usize> {
    if own.ids().eq(other.ids()) {
        return other.positions.to_vec();
    }
    let completing = |&position: &usize| {
        let done = own.done(position);
        let mut after = other.positions.iter().copied();
        let found = after.find(|&position| other.done(position) >= done);
        found.or(other.positions.last().copied())
    };
    own.positions.iter().filter_map(completing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_belongs_to_the_parts_it_covers() {
        // <s> The | cat's | at | ▁ home </s>, where one token covers the end of one part and the
        // beginning of the next.
        let offsets = [
            None,
            Some((0, 3)),
            Some((4, 9)),
            Some((9, 9)),
            Some((10, 12)),
            None,
        ];
        assert_eq!(positions(&offsets, &(0..7)), [1, 2]);
        assert_eq!(positions(&offsets, &(7..12)), [2, 3, 4]);
        assert_eq!(positions(&offsets, &(12..20)), [0; 0]);
    }

    #[test]
    fn the_same_tokens_are_counterparts_in_order() {
        let ids = [9, 5, 6];
        let offsets = [Some((0, 2)), Some((2, 4)), Some((4, 6))];
        let part = |ids, positions, start| Part {
            ids,
            offsets: &offsets,
            positions,
            start,
        };
        let (own, other) = (part(&ids, &[1, 2], 2), part(&[5, 6, 7], &[0, 1], 0));
        assert_eq!(counterparts(own, other), [0, 1]);
    }

    #[test]
    fn other_tokens_are_counterparts_by_their_characters() {
        // `at home` as `at`, ` home` by itself, and as `c|at h`, `ome` behind a `c`.
        let own = Part {
            ids: &[1, 2],
            offsets: &[Some((0, 2)), Some((3, 7))],
            positions: &[0, 1],
            start: 0,
        };
        let other = Part {
            ids: &[3, 4],
            offsets: &[Some((0, 5)), Some((5, 8))],
            positions: &[0, 1],
            start: 1,
        };
        assert_eq!(counterparts(own, other), [0, 1]);
    }
}
