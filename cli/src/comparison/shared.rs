//! What two attributions of an example have in common, and their difference.

use std::fmt;

use whence_engine::{Attribution, ScoreRows, StepAttribution, Token};

/// Two attributions of the same tokens, each reduced to the scores that both have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SharedScores {
    /// Of the first run.
    pub(crate) first: Attribution,
    /// Of the second run.
    pub(crate) second: Attribution,
}

/// Why two attributions cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// A token differs.
    Token {
        /// `source` or `target`.
        side: &'static str,
        /// Index of the token.
        index: usize,
        /// The tokens of both runs; `None` after the last one.
        tokens: [Option<String>; 2],
    },
    /// Other tokens are attributed: their positions in both runs.
    Positions([std::ops::Range<usize>; 2]),
    /// One run has scores for the source only, the other for the prefix only, or one has none.
    NoCommonSide,
    /// A run holds more than one number per token.
    Raw,
}

impl std::error::Error for Mismatch {}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token {
                side,
                index,
                tokens,
            } => {
                let [first, second] = (tokens.each_ref()).map(|token| match token {
                    Some(token) => format!("`{}`", token.escape_debug()),
                    None => "missing".to_owned(),
                });
                write!(f, "{side} token {index} is {first} in A and {second} in B")
            }
            Self::Positions([first, second]) => write!(
                f,
                "A attributes target tokens {} to {}, and B {} to {}",
                first.start, first.end, second.start, second.end
            ),
            Self::NoCommonSide => f.write_str(
                "no side has scores in both: compare runs that both attribute the source, or both \
                 the prefix (--attribute-target)",
            ),
            Self::Raw => f.write_str("its scores are not one per token; aggregate them first"),
        }
    }
}

impl SharedScores {
    /// Reduces two attributions to what both have. Fails if their tokens or positions differ.
    pub(crate) fn new(first: &Attribution, second: &Attribution) -> Result<Self, Mismatch> {
        same_tokens("source", [&first.source, &second.source])?;
        let attributed = |one: &'_ Attribution| one.target[..one.attr_pos_end].to_vec();
        let positions = [first, second].map(|one| one.attr_pos_start..one.attr_pos_end);
        same_tokens("target", [&attributed(first), &attributed(second)])?;
        let steps = |one: &Attribution| -> Vec<_> {
            one.steps.iter().map(|step| step.target_pos).collect()
        };
        if positions[0] != positions[1] || steps(first) != steps(second) {
            return Err(Mismatch::Positions(positions));
        }
        let has = |side: Side| {
            [first, second].map(|one| one.steps.iter().all(|step| side(step).is_some()))
        };
        let (has_source, has_prefix) = (has(source) == [true; 2], has(prefix) == [true; 2]);
        if first.steps.is_empty() || !(has_source || has_prefix) {
            return Err(Mismatch::NoCommonSide);
        }
        let reduced = |one: &Attribution| {
            let mut one = one.clone();
            for step in &mut one.steps {
                step.source = step.source.take().filter(|_| has_source);
                step.target = step.target.take().filter(|_| has_prefix);
            }
            one.sequence_scores.clear();
            one
        };
        let shared = Self {
            first: reduced(first),
            second: reduced(second),
        };
        let is_raw = shared
            .columns()
            .any(|(a, b)| a.row_len() != 1 || b.row_len() != 1);
        if is_raw {
            Err(Mismatch::Raw)
        } else {
            Ok(shared)
        }
    }

    /// Returns the scores of the second run subtracted from those of the first. `step_scores` are
    /// the indices of step scores in both runs.
    pub(crate) fn difference(&self, step_scores: &[(usize, usize)]) -> Attribution {
        let mut difference = self.first.clone();
        for (step, other) in difference.steps.iter_mut().zip(&self.second.steps) {
            subtract(step.source.as_mut(), other.source.as_ref());
            subtract(step.target.as_mut(), other.target.as_ref());
            step.step_scores = (step_scores.iter())
                .map(|(own, others)| step.step_scores[*own] - other.step_scores[*others])
                .collect();
        }
        difference
    }

    /// Returns the scores of each step and side in both runs.
    pub(super) fn columns(&self) -> impl Iterator<Item = (&ScoreRows, &ScoreRows)> {
        let steps = self.first.steps.iter().zip(&self.second.steps);
        steps.flat_map(|(first, second)| {
            let sides = [source, prefix].map(|side: Side| side(first).zip(side(second)));
            sides.into_iter().flatten()
        })
    }

    /// Returns the scores of all sides of each step, in both runs.
    pub(super) fn steps(&self) -> impl Iterator<Item = [Vec<f32>; 2]> {
        let all = |step: &StepAttribution| -> Vec<f32> {
            let sides = [source, prefix].map(|side: Side| side(step));
            let scores = sides.into_iter().flatten();
            scores.flat_map(|rows| rows.values.clone()).collect()
        };
        let steps = self.first.steps.iter().zip(&self.second.steps);
        steps.map(move |(first, second)| [all(first), all(second)])
    }
}

type Side = fn(&StepAttribution) -> Option<&ScoreRows>;

fn source(step: &StepAttribution) -> Option<&ScoreRows> {
    step.source.as_ref()
}

fn prefix(step: &StepAttribution) -> Option<&ScoreRows> {
    step.target.as_ref()
}

fn subtract(scores: Option<&mut ScoreRows>, others: Option<&ScoreRows>) {
    if let (Some(scores), Some(others)) = (scores, others) {
        for (score, other) in scores.values.iter_mut().zip(&others.values) {
            *score -= other;
        }
    }
}

/// Fails at the first token that differs. A token is compared by its text, because a merged one has no
/// id.
fn same_tokens(side: &'static str, [first, second]: [&[Token]; 2]) -> Result<(), Mismatch> {
    for index in 0..first.len().max(second.len()) {
        let tokens =
            [first, second].map(|tokens| tokens.get(index).map(|token| token.text.clone()));
        if tokens[0] != tokens[1] {
            return Err(Mismatch::Token {
                side,
                index,
                tokens,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn token(text: &str) -> Token {
        Token {
            id: None,
            text: text.to_owned(),
            offsets: None,
        }
    }

    /// Returns an attribution of `a b c` whose prefix is `a` and then `a b`.
    pub(in crate::comparison) fn attribution(first: &[f32], second: &[f32]) -> Attribution {
        let step = |target_pos: usize, values: &[f32]| StepAttribution {
            target_pos,
            source: None,
            target: Some(ScoreRows {
                values: values.to_vec(),
                row_shape: Vec::new(),
            }),
            contrast: None,
            step_scores: vec![0.5],
        };
        Attribution {
            source: Vec::new(),
            target: ["a", "b", "c"].map(token).to_vec(),
            generated_text: "a b c".to_owned(),
            forced: true,
            attr_pos_start: 1,
            attr_pos_end: 3,
            steps: vec![step(1, first), step(2, second)],
            sequence_scores: Vec::new(),
        }
    }

    #[test]
    fn a_difference_is_the_first_run_minus_the_second() {
        let (first, mut second) = (
            attribution(&[1.0], &[0.5, 0.25]),
            attribution(&[0.5], &[0.5, 1.0]),
        );
        second.steps[0].step_scores = vec![9.0, 0.25];
        second.steps[1].step_scores = vec![9.0, 0.5];
        let shared = SharedScores::new(&first, &second).unwrap();
        let difference = shared.difference(&[(0, 1)]);
        let values: Vec<_> = (difference.steps.iter())
            .map(|step| step.target.clone().unwrap().values)
            .collect();
        assert_eq!(values, [vec![0.5], vec![0.0, -0.75]]);
        assert_eq!(difference.steps[0].step_scores, [0.25]);
    }

    #[test]
    fn what_cannot_be_compared_is_named() {
        let first = attribution(&[1.0], &[0.5, 0.25]);
        let refused = |change: fn(&mut Attribution)| {
            let mut second = first.clone();
            change(&mut second);
            SharedScores::new(&first, &second).unwrap_err().to_string()
        };
        assert_eq!(
            refused(|second| second.target[1] = token("x\n")),
            "target token 1 is `b` in A and `x\\n` in B"
        );
        assert_eq!(
            refused(|second| {
                second.target.pop();
                second.attr_pos_end = 2;
                second.steps.pop();
            }),
            "target token 2 is `c` in A and missing in B"
        );
        assert_eq!(
            refused(|second| {
                second.attr_pos_start = 2;
                second.steps.remove(0);
            }),
            "A attributes target tokens 1 to 3, and B 2 to 3"
        );
        assert!(
            refused(|second| second.steps.iter_mut().for_each(|step| step.target = None))
                .contains("no side")
        );
        let raw = refused(|second| {
            for step in &mut second.steps {
                step.target.as_mut().unwrap().row_shape = vec![2];
            }
        });
        assert!(raw.contains("not one per token"), "{raw}");
    }
}
