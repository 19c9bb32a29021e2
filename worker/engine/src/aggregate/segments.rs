//! Finds parts of a text: words, sentences, lines, phrases and the matches of an expression.
//!
//! All of them are ranges of characters, in ascending order, without surrounding whitespace.

use std::ops::Range;

use fancy_regex::Regex;
use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

/// The parts that a text is divided into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Unit {
    /// Words as Unicode defines them; a punctuation mark is a word of its own.
    Words,
    /// Sentences as Unicode defines them.
    Sentences,
    /// Lines.
    Lines,
}

impl Unit {
    /// Returns the parts of `text`.
    pub(super) fn parts(self, text: &str) -> Vec<Range<usize>> {
        match self {
            Self::Words => trimmed(text, text.split_word_bound_indices()),
            Self::Sentences => trimmed(text, text.split_sentence_bound_indices()),
            Self::Lines => {
                let mut start = 0;
                let lines = text.split_inclusive('\n').map(|line| {
                    let found = (start, line);
                    start += line.len();
                    found
                });
                trimmed(text, lines)
            }
        }
    }
}

/// Returns every occurrence of `phrase` in `text`.
pub(super) fn occurrences(text: &str, phrase: &str) -> Vec<Range<usize>> {
    if phrase.trim().is_empty() {
        return Vec::new();
    }
    trimmed(text, text.match_indices(phrase.trim()))
}

/// Returns the matches of `pattern` in `text`. Fails if matching takes too many steps.
pub(super) fn matches(
    text: &str,
    pattern: &Regex,
) -> Result<Vec<Range<usize>>, fancy_regex::Error> {
    let found = pattern
        .find_iter(text)
        .map(|found| found.map(|found| (found.start(), found.as_str())));
    let found: Vec<_> = found.collect::<Result<_, _>>()?;
    Ok(trimmed(text, found.into_iter()))
}

/// Converts parts of `text`, given by their first bytes and in ascending order, to ranges of
/// characters without the whitespace around them. Parts without text are left out.
fn trimmed<'t>(text: &str, parts: impl Iterator<Item = (usize, &'t str)>) -> Vec<Range<usize>> {
    let (mut byte, mut character) = (0, 0);
    let mut ranges = Vec::new();
    for (start, part) in parts {
        let inner = part.trim();
        if inner.is_empty() {
            continue;
        }
        let start = start + (part.len() - part.trim_start().len());
        character += text[byte..start].chars().count();
        byte = start;
        ranges.push(character..character + inner.chars().count());
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "L’été est là.  It's 3.5 km!\n Où ?";

    fn texts(ranges: &[Range<usize>]) -> Vec<String> {
        let of = |range: &Range<usize>| TEXT.chars().skip(range.start).take(range.len()).collect();
        ranges.iter().map(of).collect()
    }

    #[test]
    fn a_text_has_words_sentences_and_lines() {
        let words = [
            "L’été",
            "est",
            "là",
            ".",
            "It's",
            "3.5",
            "km",
            "!",
            "Où",
            "?",
        ];
        assert_eq!(texts(&Unit::Words.parts(TEXT)), words);
        let sentences = ["L’été est là.", "It's 3.5 km!", "Où ?"];
        assert_eq!(texts(&Unit::Sentences.parts(TEXT)), sentences);
        let lines = ["L’été est là.  It's 3.5 km!", "Où ?"];
        assert_eq!(texts(&Unit::Lines.parts(TEXT)), lines);
    }

    #[test]
    fn phrases_and_matches_are_found_by_their_characters() {
        assert_eq!(texts(&occurrences(TEXT, " est là")), ["est là"]);
        assert_eq!(occurrences("aXa", "a"), [0..1, 2..3]);
        assert!(occurrences(TEXT, " ").is_empty() && occurrences(TEXT, "ete").is_empty());
        let digits = Regex::new(r"\s\d\S*").unwrap();
        assert_eq!(texts(&matches(TEXT, &digits).unwrap()), ["3.5"]);
    }
}
