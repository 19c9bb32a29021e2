//! `split`: merges tokens between, or from, the matches of a regular expression.
//!
//! The expression is matched against the concatenated texts of the tokens. A token that several
//! matches touch belongs to the last of them.

use std::ops::Range;

use fancy_regex::Regex;
use serde::{Deserialize, Serialize};

use super::merge::Merge;
use super::{Aggregator, Context, Defaults, Reduction, Stage};
use crate::registry::Describe;
use crate::{Attribution, Error, Token};

/// Merges tokens between the matches of a regular expression.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_field_names, reason = "the names are Inseq's")]
pub(super) struct Split {
    /// The regular expression.
    split_pattern: String,
    /// `single`: a match becomes a token of its own; `start`: a match begins a token; `end`: a
    /// match ends a token.
    split_mode: Mode,
    /// Merge source tokens.
    aggregate_source: bool,
    /// Merge target tokens.
    aggregate_target: bool,
    /// How scores are merged. When absent, token scores are merged by `absmax` and step scores as
    /// their functions say.
    aggregate_fn: Option<Reduction>,
    /// Order of the norm if the reduction is `vnorm`.
    vnorm_ord: f64,
}

/// Where a match divides the tokens around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Single,
    Start,
    End,
}

impl Default for Split {
    fn default() -> Self {
        Self {
            split_pattern: String::new(),
            split_mode: Mode::Single,
            aggregate_source: true,
            aggregate_target: true,
            aggregate_fn: None,
            vnorm_ord: 2.0,
        }
    }
}

impl Describe for Split {
    const NAME: &'static str = "split";
    const SUMMARY: &'static str = "merges the tokens between matches of `split_pattern`";
}

impl From<Split> for Stage {
    fn from(split: Split) -> Self {
        Self::Whole(Box::new(split))
    }
}

impl Aggregator for Split {
    fn aggregate(
        &self,
        attribution: Attribution,
        context: &Context<'_>,
    ) -> Result<Attribution, Error> {
        let regex = self.regex()?;
        let spans = |tokens: &[Token], asked: bool| {
            if asked {
                self.spans(&regex, tokens)
            } else {
                Ok(Vec::new())
            }
        };
        let merge = Merge {
            source: spans(&attribution.source, self.aggregate_source)?,
            target: spans(&attribution.target, self.aggregate_target)?,
            reduction: self.aggregate_fn,
            order: self.vnorm_ord,
        };
        Ok(merge.apply(attribution, context))
    }

    fn validate(&self, _: Defaults) -> Result<(), Error> {
        self.regex().map(|_| ())
    }
}

impl Split {
    fn regex(&self) -> Result<Regex, Error> {
        if self.split_pattern.is_empty() {
            return Err(wrong_pattern("is missing"));
        }
        Regex::new(&self.split_pattern).map_err(|error| wrong_pattern(&error.to_string()))
    }

    fn spans(&self, regex: &Regex, tokens: &[Token]) -> Result<Vec<Range<usize>>, Error> {
        let text: String = tokens.iter().map(|token| token.text.as_str()).collect();
        let mut ends = Vec::with_capacity(tokens.len());
        let mut end = 0;
        for token in tokens {
            end += token.text.len();
            ends.push(end);
        }
        // The index of the match each token belongs to, if any.
        let mut owners = vec![None; tokens.len()];
        for (number, found) in regex.find_iter(&text).enumerate() {
            let found = found.map_err(|error| wrong_pattern(&error.to_string()))?;
            let first = ends.partition_point(|&end| end <= found.start());
            let touched = ends[first..].iter().zip(&mut owners[first..]);
            let mut start = if first == 0 { 0 } else { ends[first - 1] };
            for (&end, owner) in touched {
                if start >= found.end() {
                    break;
                }
                *owner = Some(number);
                start = end;
            }
        }
        if owners.iter().all(Option::is_none) {
            return Ok(Vec::new());
        }
        Ok(self.runs(&owners))
    }

    /// Splits the tokens into runs where the mode says a match divides them.
    fn runs(&self, owners: &[Option<usize>]) -> Vec<Range<usize>> {
        let mut runs = Vec::new();
        let mut start = 0;
        for (index, pair) in owners.windows(2).enumerate() {
            let changes = pair[0] != pair[1];
            let cuts = match self.split_mode {
                Mode::Single => changes,
                Mode::Start => changes && pair[1].is_some(),
                Mode::End => changes && pair[0].is_some(),
            };
            if cuts {
                runs.push(start..index + 1);
                start = index + 1;
            }
        }
        runs.push(start..owners.len());
        runs
    }
}

fn wrong_pattern(reason: &str) -> Error {
    Error::Parameters {
        what: "aggregator",
        name: Split::NAME.to_owned(),
        reason: format!("`split_pattern`: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::tokens;
    use super::*;

    fn spans(text: &str, pattern: &str, split_mode: Mode) -> Vec<Range<usize>> {
        let split = Split {
            split_pattern: pattern.to_owned(),
            split_mode,
            ..Split::default()
        };
        split.spans(&split.regex().unwrap(), &tokens(text)).unwrap()
    }

    #[test]
    fn the_spans_are_inseqs() {
        let found = |mode| spans("a . b c . d", r"\.", mode);
        assert_eq!(found(Mode::Single), [0..1, 1..2, 2..4, 4..5, 5..6]);
        assert_eq!(found(Mode::Start), [0..1, 1..4, 4..6]);
        assert_eq!(found(Mode::End), [0..2, 2..5, 5..6]);
    }

    #[test]
    fn a_match_takes_every_token_it_touches() {
        assert_eq!(spans("x ab cd y", "bc", Mode::Single), [0..1, 1..3, 3..4]);
        assert_eq!(spans("é ü a", "ü", Mode::Single), [0..1, 1..2, 2..3]);
    }

    #[test]
    fn without_a_match_nothing_is_merged() {
        assert!(spans("a b c", "z", Mode::Single).is_empty());
    }
}
