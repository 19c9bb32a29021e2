//! `spans`: merges runs of tokens, which are named by their positions or found in the texts.
//!
//! On each side one of these says which: positions of tokens (as in Inseq), positions of
//! characters, a column of the dataset, or a rule for both sides: words, sentences, lines or a
//! regular expression.

use std::ops::Range;

use fancy_regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use whence_schemas::options;

use super::aggregator::ColumnValue;
use super::characters;
use super::merge::Merge;
use super::segments::{Unit, matches, occurrences};
use super::span::SpanList;
use super::{Aggregator, Context, Defaults, Reduction, Stage};
use crate::registry::Describe;
use crate::{Attribution, Error, Token};

/// Merges runs of tokens into one token each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_field_names, reason = "the names are Inseq's")]
pub(super) struct Spans {
    /// Runs of source tokens, given as start and end without the end.
    source_spans: Option<SpanList>,
    /// Runs of target tokens, given as start and end without the end. Positions count from the
    /// start token or the beginning of the prompt.
    target_spans: Option<SpanList>,
    /// What to merge on both sides: `words`, `sentences` or `lines` of the texts.
    by: Option<Unit>,
    /// Regular expression; each match in the texts of both sides is merged.
    pattern: Option<String>,
    /// Characters of the input text whose tokens are merged, given as start and end without the
    /// end.
    source_characters: Option<SpanList>,
    /// Characters of the target text whose tokens are merged. For decoder-only models it begins with
    /// the prompt.
    target_characters: Option<SpanList>,
    /// Dataset column with positions of characters (`[[0, 4], [9, 12]]`) or with phrases of the
    /// input text. The job must carry the column along (`--columns`).
    source_column: Option<String>,
    /// Dataset column with positions of characters or with phrases of the target text.
    target_column: Option<String>,
    /// Merge source tokens where `by` or `pattern` finds something.
    aggregate_source: bool,
    /// Merge target tokens where `by` or `pattern` finds something.
    aggregate_target: bool,
    /// How scores are merged. When absent, token scores are merged by `absmax` and step scores as
    /// their functions say.
    aggregate_fn: Option<Reduction>,
    /// Order of the norm if the reduction is `vnorm`.
    vnorm_ord: f64,
}

impl Default for Spans {
    fn default() -> Self {
        Self {
            source_spans: None,
            target_spans: None,
            by: None,
            pattern: None,
            source_characters: None,
            target_characters: None,
            source_column: None,
            target_column: None,
            aggregate_source: true,
            aggregate_target: true,
            aggregate_fn: None,
            vnorm_ord: 2.0,
        }
    }
}

impl Describe for Spans {
    const NAME: &'static str = "spans";
    const SUMMARY: &'static str = "merges runs of tokens: given ones, words, sentences, matches";
}

impl From<Spans> for Stage {
    fn from(spans: Spans) -> Self {
        Self::Whole(Box::new(spans))
    }
}

/// How the runs of one side are found.
#[derive(Debug)]
enum Finder<'s> {
    Nothing,
    Positions(&'s SpanList),
    Characters(&'s SpanList),
    Column(&'s str),
    Unit(Unit),
    Pattern(Regex),
}

impl Spans {
    /// Returns how the runs of the source and of the target are found. Fails if a side has several
    /// ways, or if the expression is not one.
    fn finders(&self) -> Result<[Finder<'_>; 2], Error> {
        Ok([
            self.finder(
                "source",
                (
                    &self.source_spans,
                    &self.source_characters,
                    &self.source_column,
                ),
                self.aggregate_source,
            )?,
            self.finder(
                "target",
                (
                    &self.target_spans,
                    &self.target_characters,
                    &self.target_column,
                ),
                self.aggregate_target,
            )?,
        ])
    }

    fn finder<'s>(
        &'s self,
        side: &str,
        (positions, characters, column): (
            &'s Option<SpanList>,
            &'s Option<SpanList>,
            &'s Option<String>,
        ),
        follows_rule: bool,
    ) -> Result<Finder<'s>, Error> {
        let pattern = self.pattern.as_ref().filter(|_| follows_rule);
        let pattern = pattern.map(|pattern| Regex::new(pattern));
        let pattern = pattern.transpose().map_err(|error| wrong_pattern(&error))?;
        let unit = self.by.filter(|_| follows_rule);
        let ways = [
            positions.as_ref().map(Finder::Positions),
            characters.as_ref().map(Finder::Characters),
            column.as_deref().map(Finder::Column),
            unit.map(Finder::Unit),
            pattern.map(Finder::Pattern),
        ];
        let mut ways = ways.into_iter().flatten();
        match (ways.next(), ways.next()) {
            (None, _) => Ok(Finder::Nothing),
            (Some(way), None) => Ok(way),
            (Some(_), Some(_)) => Err(wrong_parameters(&format!(
                "the {side} spans are given in several ways; name one of `{side}_spans`, \
                 `{side}_characters`, `{side}_column`, `by` and `pattern`"
            ))),
        }
    }
}

impl Aggregator for Spans {
    fn aggregate(
        &self,
        attribution: Attribution,
        context: &Context<'_>,
    ) -> Result<Attribution, Error> {
        let [source, target] = self.finders()?;
        let of_source = Place {
            side: "source",
            tokens: &attribution.source,
            text: context.source_text,
        };
        let of_target = Place {
            side: "target",
            tokens: &attribution.target,
            text: Some(&attribution.generated_text),
        };
        let merge = Merge {
            source: of_source.runs(&source, context)?,
            target: of_target.runs(&target, context)?,
            reduction: self.aggregate_fn,
            order: self.vnorm_ord,
        };
        Ok(merge.apply(attribution, context))
    }

    fn validate(&self, _: Defaults) -> Result<(), Error> {
        self.finders().map(|_| ())
    }

    fn reads_columns(&self) -> bool {
        self.source_column.is_some() || self.target_column.is_some()
    }
}

/// The tokens of one side and their text.
struct Place<'a> {
    side: &'static str,
    tokens: &'a [Token],
    text: Option<&'a str>,
}

impl Place<'_> {
    /// Returns the runs of tokens that `finder` finds.
    fn runs(&self, finder: &Finder<'_>, context: &Context<'_>) -> Result<Vec<Range<usize>>, Error> {
        let ranges = match finder {
            Finder::Nothing => return Ok(Vec::new()),
            Finder::Positions(spans) => return spans.checked(self.tokens.len(), self.side),
            // Decoder-only models have no source; a rule for both sides applies to the target.
            Finder::Unit(_) | Finder::Pattern(_) if self.tokens.is_empty() => return Ok(Vec::new()),
            Finder::Unit(unit) => unit.parts(self.known_text()?),
            Finder::Pattern(pattern) => {
                matches(self.known_text()?, pattern).map_err(|error| wrong_pattern(&error))?
            }
            Finder::Characters(spans) => self.checked(spans)?,
            Finder::Column(name) => self.of_column(name, context)?,
        };
        Ok(characters::runs(self.tokens, &ranges))
    }

    /// Returns the text. Fails if it is not known which characters the tokens stand for.
    fn known_text(&self) -> Result<&str, Error> {
        let side = self.side;
        match self.text {
            _ if self.tokens.is_empty() => Err(Error::Spans {
                reason: format!(
                    "there are no {side} tokens; for decoder-only models the prompt is part of the \
                     target"
                ),
            }),
            Some(text) if characters::are_known(self.tokens) => Ok(text),
            _ => Err(Error::Spans {
                reason: format!(
                    "it is not known which characters the {side} tokens stand for; name tokens \
                     with `{side}_spans`, or merge with `subwords` or `split`"
                ),
            }),
        }
    }

    /// Checks positions of characters against the text.
    fn checked(&self, spans: &SpanList) -> Result<Vec<Range<usize>>, Error> {
        let length = self.known_text()?.chars().count();
        spans.checked_characters(length, self.side)
    }

    /// Returns the characters that the column `name` gives for this example.
    fn of_column(&self, name: &str, context: &Context<'_>) -> Result<Vec<Range<usize>>, Error> {
        let value = context
            .column
            .map_or(ColumnValue::Missing, |column| column(name));
        let text = match value {
            ColumnValue::Missing => {
                let reason =
                    format!("the table has no column `{name}`; carry it along: --columns {name}");
                return Err(Error::Specification { reason });
            }
            ColumnValue::Null => return Ok(Vec::new()),
            ColumnValue::Text(text) => text,
        };
        let json = serde_json::from_str::<Value>(&text).unwrap_or(Value::String(text));
        if let Ok(spans) = options::read_value::<SpanList>(&json) {
            return self.checked(&spans);
        }
        let phrases = match &json {
            Value::Array(phrases) if phrases.iter().all(Value::is_string) => phrases.as_slice(),
            other => std::slice::from_ref(other),
        };
        let mut found = Vec::new();
        for phrase in phrases {
            // A number is text as well: the year 1984.
            let phrase = phrase
                .as_str()
                .map_or_else(|| phrase.to_string(), str::to_owned);
            let places = occurrences(self.known_text()?, &phrase);
            if places.is_empty() && !phrase.trim().is_empty() {
                let side = self.side;
                return Err(Error::Spans {
                    reason: format!(
                        "the {side} text does not contain `{phrase}`, which is in the column `{name}`"
                    ),
                });
            }
            found.extend(places);
        }
        found.sort_by_key(|range| range.start);
        match found.windows(2).find(|pair| pair[1].start < pair[0].end) {
            Some(_) => Err(Error::Spans {
                reason: format!("the phrases of the column `{name}` overlap in the text"),
            }),
            None => Ok(found),
        }
    }
}

fn wrong_pattern(error: &fancy_regex::Error) -> Error {
    wrong_parameters(&format!("`pattern`: {error}"))
}

fn wrong_parameters(reason: &str) -> Error {
    Error::Parameters {
        what: "aggregator",
        name: Spans::NAME.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{context, tokens};
    use super::*;
    use crate::StepAttribution;

    /// An attribution without scores over these tokens, whose text has them at `offsets`.
    fn attribution(texts: &str, offsets: &[(usize, usize)], text: &str) -> Attribution {
        let mut target = tokens(texts);
        for (token, &offsets) in target.iter_mut().zip(offsets) {
            token.offsets = Some(offsets);
        }
        let steps = (1..target.len()).map(|target_pos| StepAttribution {
            target_pos,
            source: None,
            target: None,
            step_scores: Vec::new(),
            contrast: None,
        });
        Attribution {
            source: Vec::new(),
            steps: steps.collect(),
            attr_pos_start: 1,
            attr_pos_end: target.len(),
            target,
            generated_text: text.to_owned(),
            forced: true,
            sequence_scores: Vec::new(),
        }
    }

    #[allow(
        clippy::needless_pass_by_value,
        reason = "the values are written where they are passed"
    )]
    fn merged(params: Value, column: ColumnValue) -> Result<Vec<String>, String> {
        let spans: Spans = options::read_value(&params).map_err(|error| error.to_string())?;
        let offsets = [(0, 2), (2, 7), (8, 10), (10, 11), (11, 12)];
        let whole = attribution("It alian ca t .", &offsets, "Italian cat.");
        let columns = |name: &str| {
            if name == "cue" {
                column.clone()
            } else {
                ColumnValue::Missing
            }
        };
        let mut context = context(&[]);
        context.column = Some(&columns);
        let found = spans
            .validate(context.defaults)
            .and_then(|()| spans.aggregate(whole, &context));
        let found = found.map_err(|error| error.to_string())?;
        Ok(found.target.into_iter().map(|token| token.text).collect())
    }

    #[test]
    fn tokens_are_merged_by_words_expressions_and_characters() {
        let of = |params| merged(params, ColumnValue::Null).unwrap().join(" ");
        assert_eq!(of(json!({"by": "words"})), "Italian cat .");
        assert_eq!(of(json!({"by": "sentences"})), "Italiancat.");
        assert_eq!(of(json!({"pattern": "c.."})), "It alian cat .");
        assert_eq!(
            of(json!({"target_characters": [[0, 7], [8, 12]]})),
            "Italian cat."
        );
        assert_eq!(
            of(json!({"by": "words", "aggregate_target": false})),
            "It alian ca t ."
        );
    }

    #[test]
    fn a_column_has_phrases_or_characters() {
        let of = |value: &str| {
            let value = ColumnValue::Text(value.to_owned());
            merged(json!({"target_column": "cue"}), value).map(|tokens| tokens.join(" "))
        };
        assert_eq!(of("cat").unwrap(), "It alian cat .");
        assert_eq!(of("[[0, 7]]").unwrap(), "Italian ca t .");
        assert_eq!(of(r#"["cat.", "Italian"]"#).unwrap(), "Italian cat.");
        assert!(of("dog").unwrap_err().contains("does not contain `dog`"));
        assert!(of(r#"["cat", "at."]"#).unwrap_err().contains("overlap"));
        assert!(of("[0, 99]").unwrap_err().contains("the 12 characters"));
        let nothing = merged(json!({"target_column": "cue"}), ColumnValue::Null);
        assert_eq!(nothing.unwrap().len(), 5);
        let missing = merged(json!({"target_column": "other"}), ColumnValue::Null);
        assert!(missing.unwrap_err().contains("--columns other"));
    }

    #[test]
    fn a_side_is_told_in_one_way() {
        let refused = |params| merged(params, ColumnValue::Null).unwrap_err();
        let twice = refused(json!({"by": "words", "target_spans": [0, 2]}));
        assert!(twice.contains("several ways"), "{twice}");
        let wrong = refused(json!({"pattern": "("}));
        assert!(wrong.contains("`pattern`"), "{wrong}");
        let no_source = refused(json!({"source_characters": [0, 2]}));
        assert!(no_source.contains("no source tokens"), "{no_source}");
        let unknown = refused(json!({"by": "letters"}));
        assert!(unknown.contains("by must be"), "{unknown}");
    }
}
