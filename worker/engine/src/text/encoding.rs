//! Token ids, and where each token is in the text that was encoded.
//!
//! Tokenizers disagree on the blank before a word: some count it as part of the word's token, some
//! do not. Here it never belongs to a token, unless the token is nothing but blanks. Offsets thus
//! mean the same for every model: a token that begins where the one before it ends is in the same
//! word.

use crate::attribution::Offsets;

/// Token ids, and where each token is in the encoded text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoding {
    /// The token ids, in text order.
    pub ids: Vec<u32>,
    /// Byte range of each token in the text (end exclusive), blanks included. `None` for tokens
    /// that were added, such as special tokens.
    pub ranges: Vec<Option<(usize, usize)>>,
}

impl Encoding {
    /// Appends a token.
    pub(super) fn push(&mut self, id: u32, range: Option<(usize, usize)>) {
        self.ids.push(id);
        self.ranges.push(range);
    }

    /// Returns these tokens followed by those of `other`, an encoding of the same text.
    pub(crate) fn followed_by(mut self, other: Self) -> Self {
        self.ids.extend(other.ids);
        self.ranges.extend(other.ranges);
        self
    }

    /// Returns the character offsets of each token in `text`, the text that was encoded.
    pub fn offsets(&self, text: &str) -> Vec<Offsets> {
        in_characters(text, &self.ranges)
    }
}

/// Converts byte ranges into character ranges and trims blanks at both ends. A character belongs
/// to a range if at least one of its bytes does.
pub(super) fn in_characters(text: &str, ranges: &[Option<(usize, usize)>]) -> Vec<Offsets> {
    let characters: Vec<(usize, char)> = text.char_indices().collect();
    let begun_before = |byte: usize| characters.partition_point(|(start, _)| *start < byte);
    let of_range = |&(start, end): &(usize, usize)| {
        if start >= end {
            return (begun_before(start), begun_before(start));
        }
        let (start, end) = (begun_before(start + 1).saturating_sub(1), begun_before(end));
        let is_word = |(_, character): &(usize, char)| !character.is_whitespace();
        let own = &characters[start..end];
        match (own.iter().position(is_word), own.iter().rposition(is_word)) {
            (Some(first), Some(last)) => (start + first, start + last + 1),
            _ => (start, end),
        }
    };
    let ranges = ranges.iter().map(Option::as_ref);
    ranges.map(|range| range.map(of_range)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_at_the_sides_of_a_token_are_not_counted() {
        let ranges = [None, Some((0, 3)), Some((3, 8)), Some((8, 9)), Some((9, 9))];
        assert_eq!(
            in_characters("née là ", &ranges),
            [None, Some((0, 2)), Some((2, 6)), Some((6, 7)), Some((7, 7))]
        );
    }

    #[test]
    fn a_character_split_over_tokens_is_in_each_of_them() {
        let ranges = [Some((0, 2)), Some((2, 3)), Some((3, 5))];
        assert_eq!(
            in_characters("a日b", &ranges),
            [Some((0, 2)), Some((1, 2)), Some((1, 3))]
        );
    }
}
