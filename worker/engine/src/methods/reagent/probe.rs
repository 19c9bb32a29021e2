//! One probe: its current importance of each of a step's tokens, and its random draws.

use serde::{Deserialize, Serialize};

use super::replacements::Replacements;
use crate::kernels::softmax_in_place;
use crate::random::Random;

/// Keeps `(1 + Δ) / 2` away from 0 and 1, where its logit is infinite. The value is half the
/// machine epsilon of single precision.
const MARGIN: f64 = f32::EPSILON as f64 / 2.0;

/// Given draws for one step, used instead of random ones. The outer list has one entry per probe,
/// the inner one per token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::methods) struct Draws {
    /// The initial importances.
    scores: Vec<Vec<f64>>,
    /// The draws of each trial, in order.
    rounds: Vec<Round>,
}

/// Given draws for one trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Round {
    /// Whether each token is replaced.
    replaced: Vec<Vec<bool>>,
    /// The tokens that replace them.
    tokens: Vec<Vec<u32>>,
    /// The tokens that replace those not kept when the stopping condition is checked.
    stop_tokens: Vec<Vec<u32>>,
}

impl Draws {
    /// Returns whether the draws have the right shape for `probes` probes of `tokens` tokens.
    pub(super) fn fit(&self, probes: usize, tokens: usize) -> bool {
        fn fits<T>(table: &[Vec<T>], probes: usize, tokens: usize) -> bool {
            table.len() == probes && table.iter().all(|row| row.len() == tokens)
        }
        let fits_round = |round: &Round| {
            fits(&round.replaced, probes, tokens)
                && fits(&round.tokens, probes, tokens)
                && fits(&round.stop_tokens, probes, tokens)
        };
        fits(&self.scores, probes, tokens) && self.rounds.iter().all(fits_round)
    }

    fn of_probe(&self, number: usize) -> Script {
        let round = |round: &Round| ScriptedRound {
            replaced: round.replaced[number].clone(),
            tokens: round.tokens[number].clone(),
            stop_tokens: round.stop_tokens[number].clone(),
        };
        Script {
            rounds: self.rounds.iter().map(round).collect(),
        }
    }
}

/// The given draws of one probe.
#[derive(Debug)]
struct Script {
    rounds: Vec<ScriptedRound>,
}

#[derive(Debug)]
struct ScriptedRound {
    replaced: Vec<bool>,
    tokens: Vec<u32>,
    stop_tokens: Vec<u32>,
}

/// The source of a probe's draws.
#[derive(Debug)]
enum Source {
    Random(Random),
    Script(Script),
}

/// One probe of one step.
#[derive(Debug)]
pub(super) struct Probe {
    /// Index of the step.
    pub(super) step: usize,
    /// The tokens that may be replaced.
    tokens: Vec<u32>,
    /// Unnormalized importance of each token; softmax turns them into shares.
    scores: Vec<f64>,
    source: Source,
    stopped: bool,
}

/// Which tokens the stopping condition keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// This many of the most important ones.
    Top(usize),
    /// All except this many of the most important ones.
    AllBut(usize),
    /// None.
    Nothing,
}

/// A trial: the step's tokens, some of them replaced.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) tokens: Vec<u32>,
    replaced: Vec<bool>,
}

impl Probe {
    /// Returns a probe that draws from `random`.
    pub(super) fn drawn(step: usize, tokens: Vec<u32>, mut random: Random) -> Self {
        Self {
            step,
            scores: tokens.iter().map(|_| random.uniform()).collect(),
            tokens,
            source: Source::Random(random),
            stopped: false,
        }
    }

    /// Returns a probe that uses the given `draws`, those with index `number`.
    pub(super) fn injected(step: usize, tokens: Vec<u32>, draws: &Draws, number: usize) -> Self {
        Self {
            step,
            tokens,
            scores: draws.scores[number].clone(),
            source: Source::Script(draws.of_probe(number)),
            stopped: false,
        }
    }

    /// Returns how many tokens may be replaced.
    pub(super) fn num_tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Returns whether the probe has no trial `round`: it has stopped, or its given draws are used
    /// up.
    pub(super) fn is_over(&self, round: usize) -> bool {
        let ended = match &self.source {
            Source::Random(_) => false,
            Source::Script(script) => round >= script.rounds.len(),
        };
        self.stopped || ended
    }

    /// Returns whether the stopping condition was met.
    pub(super) fn has_stopped(&self) -> bool {
        self.stopped
    }

    /// Ends the probe because the stopping condition was met.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Returns the importance of each token; they sum to one.
    pub(super) fn importance(&self) -> Vec<f64> {
        let mut shares = self.scores.clone();
        softmax_in_place(&mut shares);
        shares
    }

    /// Replaces each token with probability `ratio`.
    pub(super) fn replace_some(
        &mut self,
        round: usize,
        ratio: f64,
        replacements: &Replacements,
    ) -> Trial {
        let replaced: Vec<bool> = match &mut self.source {
            Source::Random(random) => {
                let drawn = self.tokens.iter().map(|_| random.uniform() < ratio);
                drawn.collect()
            }
            Source::Script(script) => script.rounds[round].replaced.clone(),
        };
        let tokens = match &mut self.source {
            Source::Random(random) => replace(&self.tokens, &replaced, |index, token| {
                replacements.draw((self.step, index), token, random)
            }),
            Source::Script(script) => choose(&self.tokens, &replaced, &script.rounds[round].tokens),
        };
        Trial { tokens, replaced }
    }

    /// Updates the importances after a trial that lowered the probability by `drop`.
    pub(super) fn learn(&mut self, trial: &Trial, drop: f64) {
        for (score, &replaced) in self.scores.iter_mut().zip(&trial.replaced) {
            let drop = if replaced { drop } else { -drop };
            let share = (0.5 * drop + 0.5).clamp(MARGIN, 1.0 - MARGIN);
            *score += (share / (1.0 - share)).ln();
        }
    }

    /// Returns the tokens, with all that are not `kept` replaced.
    pub(super) fn replace_others(
        &mut self,
        round: usize,
        kept: Kept,
        replacements: &Replacements,
    ) -> Vec<u32> {
        let mut order: Vec<usize> = (0..self.tokens.len()).collect();
        order.sort_by(|&a, &b| self.scores[b].total_cmp(&self.scores[a]));
        let (top, keeps_top) = match kept {
            Kept::Top(top) => (top, true),
            Kept::AllBut(top) => (top, false),
            Kept::Nothing => (0, true),
        };
        let mut replaced = vec![keeps_top; self.tokens.len()];
        for &token in order.iter().take(top) {
            replaced[token] = !keeps_top;
        }
        match &mut self.source {
            Source::Random(random) => replace(&self.tokens, &replaced, |index, token| {
                replacements.draw((self.step, index), token, random)
            }),
            Source::Script(script) => {
                choose(&self.tokens, &replaced, &script.rounds[round].stop_tokens)
            }
        }
    }
}

/// Replaces each token marked in `replaced` by `by(index, token)`.
fn replace(tokens: &[u32], replaced: &[bool], mut by: impl FnMut(usize, u32) -> u32) -> Vec<u32> {
    let tokens = tokens.iter().zip(replaced).enumerate();
    let choose = |(index, (&token, &replaced)): (usize, (&u32, &bool))| {
        if replaced { by(index, token) } else { token }
    };
    tokens.map(choose).collect()
}

fn choose(tokens: &[u32], replaced: &[bool], others: &[u32]) -> Vec<u32> {
    let mut others = others.iter();
    let both = tokens.iter().zip(replaced);
    both.filter_map(|(&token, &replaced)| {
        let other = *others.next()?;
        Some(if replaced { other } else { token })
    })
    .collect()
}
