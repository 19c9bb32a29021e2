//! From ranges of characters to runs of tokens.

use std::ops::Range;

use crate::Token;

/// Returns the runs of tokens that cover `ranges`, which are in ascending order and do not overlap.
///
/// A token that several ranges share belongs to the first of them. A token without characters, such
/// as the blank that some tokenizers put before a word, belongs to the range that it stands in or
/// before. Runs of a single token are left out: there is nothing to merge.
pub(super) fn runs(tokens: &[Token], ranges: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut runs: Vec<(usize, Range<usize>)> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let Some(home) = token.offsets.and_then(|offsets| home(offsets, ranges)) else {
            continue;
        };
        match runs.last_mut() {
            Some((last, run)) if *last == home => run.end = index + 1,
            _ => runs.push((home, index..index + 1)),
        }
    }
    let runs = runs.into_iter().map(|(_, run)| run);
    runs.filter(|run| run.len() > 1).collect()
}

/// Returns whether any token knows its characters.
pub(super) fn are_known(tokens: &[Token]) -> bool {
    tokens.iter().any(|token| token.offsets.is_some())
}

/// Returns the index of the first of `ranges` that the characters `start..end` touch.
fn home((start, end): (usize, usize), ranges: &[Range<usize>]) -> Option<usize> {
    let first = ranges.partition_point(|range| range.end <= start);
    let range = ranges.get(first)?;
    let touches = if start == end {
        range.start <= start
    } else {
        range.start < end
    };
    touches.then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(offsets: &[Option<(usize, usize)>]) -> Vec<Token> {
        let token = |&offsets| Token {
            id: Some(1),
            text: "x".to_owned(),
            offsets,
        };
        offsets.iter().map(token).collect()
    }

    fn one(range: Range<usize>) -> Vec<Range<usize>> {
        vec![range]
    }

    #[test]
    fn tokens_belong_to_the_characters_they_cover() {
        let tokens = tokens(&[
            None,
            Some((0, 0)),
            Some((0, 3)),
            Some((3, 5)),
            Some((6, 9)),
            Some((9, 10)),
            Some((10, 12)),
            None,
        ]);
        // The blank at 0 and the piece at 3 belong to the first word; `6..9` reaches into the second.
        assert_eq!(runs(&tokens, &[0..5, 6..10, 10..12]), [1..4, 4..6]);
        assert_eq!(runs(&tokens, &one(2..4)), one(2..4));
        assert_eq!(runs(&tokens, &[4..7, 8..11]), [3..5, 5..7]);
        assert!(runs(&tokens, &one(20..30)).is_empty());
    }
}
