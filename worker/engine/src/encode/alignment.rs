//! Pairs each explained position with a position of the contrast, by Inseq's rules.
//!
//! Given pairs come first. Positions without one are counted from the end, so that with no given
//! pairs a target and its contrast end together.

use std::collections::BTreeSet;
use std::ops::Range;

/// Returns, for each position of `explained`, the paired position in a contrast of `contrast_len`
/// tokens. `given` are pairs (position, position in the contrast). Pairs with a position past the
/// contrast's end are ignored, and so are those with its first position, which has no prefix.
pub(super) fn align(
    explained: &Range<usize>,
    contrast_len: usize,
    given: &[(usize, usize)],
) -> Vec<usize> {
    let given: BTreeSet<_> = given.iter().copied().collect();
    let mut used = BTreeSet::new();
    let mut aligned = Vec::with_capacity(explained.len());
    for position in explained.clone() {
        let candidates = || {
            let of_position = given.range((position, 1)..(position, contrast_len.max(1)));
            of_position.map(|&(_, contrast)| contrast)
        };
        // Prefer a position that no earlier one was paired with; otherwise take the first given.
        let unused = candidates().find(|contrast| !used.contains(contrast));
        let chosen = unused.or_else(|| candidates().next());
        used.extend(chosen);
        aligned.push(chosen.unwrap_or_else(|| {
            let from_end = explained.end - position;
            match contrast_len.checked_sub(from_end) {
                Some(contrast) if contrast > 0 => contrast,
                // Counting from the end reaches the contrast's first token or runs past it. Inseq
                // pairs the last token then.
                _ => contrast_len - 1,
            }
        }));
    }
    aligned
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Inseq 0.7.1's results. Each case: contrast length, explained positions, given pairs, result.
    #[test]
    fn pairs_are_inseqs() {
        type Case<'a> = (usize, Range<usize>, &'a [(usize, usize)], &'a [usize]);
        let cases: [Case<'_>; 6] = [
            (9, 5..8, &[], &[6, 7, 8]),
            (3, 5..8, &[], &[2, 1, 2]),
            (9, 5..8, &[(5, 5), (5, 6), (6, 5)], &[5, 5, 8]),
            (9, 5..8, &[(6, 2), (5, 20)], &[6, 2, 8]),
            (5, 1..2, &[], &[4]),
            (2, 1..6, &[], &[1, 1, 1, 1, 1]),
        ];
        for (contrast_len, explained, given, expected) in cases {
            assert_eq!(align(&explained, contrast_len, given), expected);
        }
    }

    #[test]
    fn the_first_position_of_the_contrast_is_never_paired() {
        assert_eq!(align(&(2..4), 3, &[(2, 0)]), [1, 2]);
    }
}
