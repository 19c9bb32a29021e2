//! `subwords`: merges the pieces of each word into one token.
//!
//! A piece with the mark begins a word. So does a special token, and the token after a special one.
//! Every other piece continues the word before it. With `is_suffix_symbol` the pieces with the mark
//! are the ones that continue a word. Inseq drops the last piece of the last word and treats
//! special tokens as pieces of words; `compat = inseq-0.7.1` does the same.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::merge::Merge;
use super::{Aggregator, Context, Reduction, Stage};
use crate::registry::Describe;
use crate::sides::Side;
use crate::{Attribution, Error, Token};

/// Merges the pieces of each word into one token.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Subwords {
    /// Merge source tokens.
    aggregate_source: bool,
    /// Merge target tokens.
    aggregate_target: bool,
    /// Marks of the tokens that begin a word, or with `is_suffix_symbol` of those that continue
    /// one.
    special_chars: Marks,
    /// The marks are on tokens that continue words, as with BERT's `##`.
    is_suffix_symbol: bool,
    /// How scores are merged. When absent, token scores are merged by `absmax` and step scores as
    /// their functions say.
    aggregate_fn: Option<Reduction>,
    /// Order of the norm if the reduction is `vnorm`.
    vnorm_ord: f64,
}

/// One mark or several.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a mark such as \"▁\", or a list of them"
)]
enum Marks {
    One(String),
    Many(Vec<String>),
}

impl Default for Subwords {
    fn default() -> Self {
        Self {
            aggregate_source: true,
            aggregate_target: true,
            // The mark of SentencePiece and those of byte-level BPE. Inseq has only the first.
            special_chars: Marks::Many(["▁", "Ġ", "Ċ"].map(str::to_owned).to_vec()),
            is_suffix_symbol: false,
            aggregate_fn: None,
            vnorm_ord: 2.0,
        }
    }
}

impl Describe for Subwords {
    const NAME: &'static str = "subwords";
    const SUMMARY: &'static str = "merges the pieces of a word into the word";
}

impl From<Subwords> for Stage {
    fn from(subwords: Subwords) -> Self {
        Self::Whole(Box::new(subwords))
    }
}

impl Aggregator for Subwords {
    fn aggregate(
        &self,
        attribution: Attribution,
        context: &Context<'_>,
    ) -> Result<Attribution, Error> {
        let words = |side, tokens: &[Token], asked: bool| {
            if asked {
                self.words(side, tokens, context)
            } else {
                Vec::new()
            }
        };
        let merge = Merge {
            source: words(Side::Source, &attribution.source, self.aggregate_source),
            target: words(Side::Target, &attribution.target, self.aggregate_target),
            reduction: self.aggregate_fn,
            order: self.vnorm_ord,
        };
        Ok(merge.apply(attribution, context))
    }
}

impl Subwords {
    fn has_mark(&self, token: &Token) -> bool {
        let begins = |mark: &String| token.text.starts_with(mark.as_str());
        match &self.special_chars {
            Marks::One(mark) => begins(mark),
            Marks::Many(marks) => marks.iter().any(begins),
        }
    }

    /// Returns the words that consist of more than one token.
    fn words(&self, side: Side, tokens: &[Token], context: &Context<'_>) -> Vec<Range<usize>> {
        // If no token has a mark, there is no telling where words begin.
        if !tokens.iter().any(|token| self.has_mark(token)) {
            return Vec::new();
        }
        let compat = context.defaults.compat;
        let is_special =
            |index: usize| compat == Compat::None && (context.is_special)(side, &tokens[index]);
        let begins_word = |index: usize| {
            self.has_mark(&tokens[index]) != self.is_suffix_symbol
                || is_special(index)
                || (index > 0 && is_special(index - 1))
        };
        let mut words = Vec::new();
        let mut start = 0;
        for index in 0..tokens.len() {
            if begins_word(index) {
                words.push(start..index);
                start = index;
            }
        }
        let ends_in_piece = !tokens.is_empty() && !begins_word(tokens.len() - 1);
        match compat {
            Compat::None => words.push(start..tokens.len()),
            Compat::Inseq071 if ends_in_piece => words.push(start..tokens.len() - 1),
            Compat::Inseq071 => {}
        }
        words.retain(|word| word.len() > 1);
        words
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{context, tokens};
    use super::*;

    /// Returns the start and end of each word.
    fn words(text: &str, parameters: serde_json::Value, compat: Compat) -> Vec<(usize, usize)> {
        let subwords: Subwords = serde_json::from_value(parameters).unwrap();
        let mut context = context(&[]);
        context.defaults.compat = compat;
        let words = subwords.words(Side::Target, &tokens(text), &context);
        words.iter().map(|word| (word.start, word.end)).collect()
    }

    #[test]
    fn compat_finds_the_words_inseq_finds() {
        let found = |text, parameters| words(text, parameters, Compat::Inseq071);
        assert_eq!(
            found("<pad> ▁he ll o ▁wor ld </s>", json!({})),
            [(1, 4), (4, 6)]
        );
        assert_eq!(found("▁he ll o", json!({})), [(0, 2)]);
        assert_eq!(found("</s> eng ▁le", json!({})), [(0, 2)]);
        let suffix = json!({"special_chars": "##", "is_suffix_symbol": true});
        assert_eq!(found("phen ##omen ##al x", suffix), [(0, 3)]);
    }

    #[test]
    fn a_word_has_its_last_piece_and_no_special_token() {
        let found = |text, parameters| words(text, parameters, Compat::None);
        assert_eq!(
            found("<pad> ▁he ll o ▁wor ld </s>", json!({})),
            [(1, 4), (4, 6)]
        );
        assert_eq!(found("▁he ll o", json!({})), [(0, 3)]);
        assert!(found("</s> eng ▁le", json!({})).is_empty());
        assert_eq!(found("The Ġcat s Ċ x", json!({})), [(1, 3), (3, 5)]);
        let suffix = json!({"special_chars": "##", "is_suffix_symbol": true});
        assert_eq!(found("x phen ##omen ##al", suffix), [(1, 4)]);
    }

    #[test]
    fn without_a_mark_nothing_is_merged() {
        assert!(words("a b c", json!({}), Compat::None).is_empty());
    }
}
