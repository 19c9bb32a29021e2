//! `slices`: keeps only some of the tokens that are attributed to. Generated tokens are always
//! kept.
//!
//! Target spans that end before the first generated token are kept as given. A span that reaches
//! past it is extended to the last generated token, and any spans after it are ignored. If no span
//! reaches the generated tokens, they are added as a span of their own. Sequence scores of the
//! source keep only the rows and columns of the kept tokens.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::span::SpanList;
use super::{Aggregator, Context, Stage};
use crate::registry::Describe;
use crate::{Attribution, Error, ScoreRows, SequenceScores, Side, StepAttribution, Token};

/// Keeps only some of the tokens that are attributed to.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Slices {
    /// Runs of source tokens to keep, given as start and end without the end; all tokens when
    /// absent.
    source_spans: Option<SpanList>,
    /// Runs of target tokens to keep, given as start and end without the end; all tokens when
    /// absent.
    target_spans: Option<SpanList>,
}

impl Describe for Slices {
    const NAME: &'static str = "slices";
    const SUMMARY: &'static str = "keeps some of the tokens that are attributed to";
}

impl From<Slices> for Stage {
    fn from(slices: Slices) -> Self {
        Self::Whole(Box::new(slices))
    }
}

impl Aggregator for Slices {
    fn aggregate(&self, attribution: Attribution, _: &Context<'_>) -> Result<Attribution, Error> {
        let (first, end) = (attribution.attr_pos_start, attribution.attr_pos_end);
        let source = match &self.source_spans {
            None => whole(attribution.source.len()),
            Some(spans) => spans.checked(attribution.source.len(), "source")?,
        };
        let target = match &self.target_spans {
            None => whole(end),
            Some(spans) => {
                let spans = spans.checked(attribution.target.len(), "target")?;
                with_generated(spans, first..end)
            }
        };
        let new_first = target
            .iter()
            .map(|span| span.end.min(first) - span.start.min(first))
            .sum();
        let kept_step = |(index, step): (usize, StepAttribution)| StepAttribution {
            target_pos: new_first + index,
            source: step.source.map(|rows| kept_rows(&rows, &source)),
            target: step.target.map(|rows| kept_rows(&rows, &target)),
            ..step
        };
        let kept_sequence = |scores: &SequenceScores| {
            let (rows, columns) = match scores.side {
                Side::Source => (&source, source.clone()),
                Side::Target => (&target, whole(scores.columns.len())),
            };
            let columns = columns.into_iter().flat_map(|span| &scores.columns[span]);
            SequenceScores {
                columns: columns.map(|column| kept_rows(column, rows)).collect(),
                ..scores.clone()
            }
        };
        let sequence_scores = attribution.sequence_scores.iter().map(kept_sequence);
        Ok(Attribution {
            sequence_scores: sequence_scores.collect(),
            source: kept_tokens(&attribution.source, &source),
            target: kept_tokens(&attribution.target, &target),
            attr_pos_start: new_first,
            attr_pos_end: new_first + attribution.steps.len(),
            steps: attribution
                .steps
                .into_iter()
                .enumerate()
                .map(kept_step)
                .collect(),
            ..attribution
        })
    }
}

fn whole(tokens: usize) -> Vec<Range<usize>> {
    std::iter::once(0..tokens).collect()
}

/// Returns `spans`, changed so that the last span ends with all of the generated tokens.
fn with_generated(spans: Vec<Range<usize>>, generated: Range<usize>) -> Vec<Range<usize>> {
    let mut kept = Vec::new();
    for span in spans {
        if span.end > generated.start {
            kept.push(span.start.min(generated.start)..generated.end);
            return kept;
        }
        kept.push(span);
    }
    kept.push(generated);
    kept
}

fn kept_tokens(tokens: &[Token], spans: &[Range<usize>]) -> Vec<Token> {
    let kept = spans.iter().flat_map(|span| &tokens[span.clone()]);
    kept.cloned().collect()
}

fn kept_rows(rows: &ScoreRows, spans: &[Range<usize>]) -> ScoreRows {
    let (num_rows, len) = (rows.num_rows(), rows.row_len());
    let spans = spans
        .iter()
        .map(|span| span.start.min(num_rows)..span.end.min(num_rows));
    let values = spans.flat_map(|span| &rows.values[span.start * len..span.end * len]);
    ScoreRows {
        values: values.copied().collect(),
        row_shape: rows.row_shape.clone(),
    }
}
