//! `pair`: combines two attributions of equal shape cell by cell; by default it takes their
//! difference.
//!
//! It compares two runs over the same tokens, or over a minimal pair of texts. A job's own pipeline
//! sees only one example at a time, so this stage needs a pipeline that is given two.

use serde::{Deserialize, Serialize};

use crate::registry::Describe;
use crate::{Attribution, Error, ScoreRows, SequenceScores, StepAttribution, Token};

/// Combines two attributions of equal shape.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pair {
    /// What is made of a cell's two scores: `difference` (the other minus this one, as in Inseq),
    /// `subtraction` (this one minus the other), `mean`, `sum`, `prod`, `min`, `max` or `absmax`.
    aggregate_fn: Combination,
}

/// What is made of two scores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Combination {
    #[default]
    Difference,
    Subtraction,
    Mean,
    Sum,
    Prod,
    Min,
    Max,
    AbsMax,
}

impl Describe for Pair {
    const NAME: &'static str = "pair";
    const SUMMARY: &'static str = "compares with another run, by default the other minus this one";
}

impl Pair {
    /// Combines `first`, which the pipeline runs on, with `second`.
    pub(super) fn apply(
        &self,
        first: &Attribution,
        second: &Attribution,
    ) -> Result<Attribution, Error> {
        pair_with(first, second, |first, second| {
            self.aggregate_fn.of(first, second)
        })
    }
}

impl Combination {
    fn of(self, first: f32, second: f32) -> f32 {
        match self {
            Self::Difference => second - first,
            Self::Subtraction => first - second,
            Self::Mean => f32::midpoint(first, second),
            Self::Sum => first + second,
            Self::Prod => first * second,
            Self::Min => first.min(second),
            Self::Max => first.max(second),
            Self::AbsMax if second.abs() > first.abs() => second,
            Self::AbsMax => first,
        }
    }
}

/// Returns `second` minus `first`. Inseq's `pair` writes this difference as `first - second`, with
/// the same meaning.
///
/// Fails if the two differ in their numbers of tokens, steps or scores.
pub fn pair(first: &Attribution, second: &Attribution) -> Result<Attribution, Error> {
    pair_with(first, second, |first, second| second - first)
}

/// Combines two attributions, cell by cell and step score by step score. Where their tokens differ,
/// the combined token is `first → second`.
///
/// Fails if the two differ in their numbers of tokens, steps or scores.
pub fn pair_with(
    first: &Attribution,
    second: &Attribution,
    combine: impl Fn(f32, f32) -> f32,
) -> Result<Attribution, Error> {
    let steps = first.steps.iter().zip(&second.steps);
    let steps = steps.map(|(a, b)| {
        Ok(StepAttribution {
            target_pos: a.target_pos,
            source: pair_rows(a.source.as_ref(), b.source.as_ref(), &combine)?,
            target: pair_rows(a.target.as_ref(), b.target.as_ref(), &combine)?,
            step_scores: pair_values(&a.step_scores, &b.step_scores, &combine)?,
            contrast: a.contrast.clone(),
        })
    });
    if first.steps.len() != second.steps.len() || first.attr_pos_start != second.attr_pos_start {
        return Err(differ("positions"));
    }
    Ok(Attribution {
        source: pair_tokens(&first.source, &second.source)?,
        target: pair_tokens(&first.target, &second.target)?,
        steps: steps.collect::<Result<_, Error>>()?,
        sequence_scores: pair_sequences(&first.sequence_scores, &second.sequence_scores, &combine)?,
        ..first.clone()
    })
}

fn pair_tokens(first: &[Token], second: &[Token]) -> Result<Vec<Token>, Error> {
    if first.len() != second.len() {
        return Err(differ("numbers of tokens"));
    }
    let pairs = first.iter().zip(second).map(|(a, b)| {
        if a.text == b.text {
            a.clone()
        } else {
            Token {
                id: None,
                text: format!("{} → {}", a.text, b.text),
                offsets: a.offsets.filter(|_| a.offsets == b.offsets),
            }
        }
    });
    Ok(pairs.collect())
}

fn pair_sequences(
    first: &[SequenceScores],
    second: &[SequenceScores],
    combine: impl Fn(f32, f32) -> f32,
) -> Result<Vec<SequenceScores>, Error> {
    let pair = |(a, b): (&SequenceScores, &SequenceScores)| {
        if a.name != b.name || a.columns.len() != b.columns.len() {
            return Err(differ("sequence scores"));
        }
        let columns = a.columns.iter().zip(&b.columns);
        let columns = columns.map(|(a, b)| pair_of_rows(a, b, &combine));
        Ok(SequenceScores {
            columns: columns.collect::<Result<_, Error>>()?,
            ..a.clone()
        })
    };
    if first.len() != second.len() {
        return Err(differ("sequence scores"));
    }
    first.iter().zip(second).map(pair).collect()
}

fn pair_rows(
    first: Option<&ScoreRows>,
    second: Option<&ScoreRows>,
    combine: impl Fn(f32, f32) -> f32,
) -> Result<Option<ScoreRows>, Error> {
    match (first, second) {
        (None, None) => Ok(None),
        (Some(a), Some(b)) => pair_of_rows(a, b, combine).map(Some),
        _ => Err(differ("shapes of scores")),
    }
}

fn pair_of_rows(
    first: &ScoreRows,
    second: &ScoreRows,
    combine: impl Fn(f32, f32) -> f32,
) -> Result<ScoreRows, Error> {
    if first.row_shape != second.row_shape {
        return Err(differ("shapes of scores"));
    }
    Ok(ScoreRows {
        values: pair_values(&first.values, &second.values, combine)?,
        row_shape: first.row_shape.clone(),
    })
}

fn pair_values(
    first: &[f32],
    second: &[f32],
    combine: impl Fn(f32, f32) -> f32,
) -> Result<Vec<f32>, Error> {
    if first.len() != second.len() {
        return Err(differ("numbers of scores"));
    }
    Ok(first
        .iter()
        .zip(second)
        .map(|(&a, &b)| combine(a, b))
        .collect())
}

fn differ(what: &'static str) -> Error {
    Error::Unpaired { what }
}
