//! Beam search: several of the likeliest hypotheses are extended in parallel.
//!
//! Each step takes the best continuations over all hypotheses, at least twice as many as there are
//! beams, so that enough unfinished ones remain when some end. Those among the best that have
//! ended compete for the result by their score divided by a power of their length; the others are
//! extended further. The behavior and the order of decisions are those of transformers 5
//! (`GenerationMixin._beam_search`), except that each prompt is searched on its own; in
//! transformers a batch of prompts ends together.

use std::cmp::Ordering;

use whence_schemas::EarlyStopping;

use super::probabilities::log_softmax;
use super::processors::Hypothesis;
use super::search::{Extended, Prompt, Search};
use super::settings::Settings;
use crate::random::Random;

/// The hypotheses of one prompt.
pub(super) struct Beams<'s> {
    settings: &'s Settings,
    prompt: usize,
    max_length: usize,
    random: Option<Random>,
    /// Unfinished hypotheses, best first.
    running: Vec<Beam>,
    /// Finished hypotheses, best first, at most one per beam.
    finished: Vec<Finished>,
    /// Whether a running hypothesis could still beat a finished one.
    improvable: bool,
}

/// A hypothesis that has not ended.
struct Beam {
    /// The prompt and the tokens generated so far.
    tokens: Vec<u32>,
    /// Sum of the log-probabilities of the generated tokens.
    log_probability: f64,
}

/// A hypothesis that has ended.
struct Finished {
    tokens: Vec<u32>,
    score: f64,
}

/// A hypothesis extended by one possible next token.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    parent: usize,
    token: u32,
    log_probability: f64,
    /// What candidates are ranked by: the log-probability, plus noise when sampling.
    key: f64,
}

impl<'s> Beams<'s> {
    /// Starts the search for a prompt. Prompt and continuation together have at most `max_length`
    /// tokens.
    pub(super) fn new(prompt: &'s Prompt, settings: &'s Settings, max_length: usize) -> Self {
        let (job_seed, example_id) = prompt.seed;
        Self {
            settings,
            prompt: prompt.ids.len(),
            max_length,
            random: settings
                .do_sample
                .then(|| Random::new(job_seed, example_id, "generate")),
            running: vec![Beam {
                tokens: prompt.ids.clone(),
                log_probability: 0.0,
            }],
            finished: Vec::new(),
            improvable: true,
        }
    }

    /// Returns the best continuations over all hypotheses, best first.
    fn candidates(&mut self, scores: Vec<Vec<f64>>) -> Vec<Candidate> {
        // Reserved at once: growing would hold two copies for a moment.
        let most = scores.iter().map(Vec::len).sum();
        let mut candidates = Vec::with_capacity(most);
        for (parent, (beam, scores)) in self.running.iter().zip(scores).enumerate() {
            let mut log_probabilities = log_softmax(&scores);
            let hypothesis = Hypothesis {
                tokens: &beam.tokens,
                prompt: self.prompt,
                max_length: self.max_length,
            };
            for processor in &self.settings.processors {
                processor.process(&hypothesis, &mut log_probabilities);
            }
            for (token, own) in log_probabilities.into_iter().enumerate() {
                let log_probability = beam.log_probability + own;
                if log_probability > f64::NEG_INFINITY {
                    // Taking the largest values after adding Gumbel noise draws without
                    // replacement. Source: Kool et al. 2019, <https://arxiv.org/abs/1903.06059>.
                    let noise = self.random.as_mut().map(gumbel).unwrap_or_default();
                    candidates.push(Candidate {
                        parent,
                        token: token as u32,
                        log_probability,
                        key: log_probability + noise,
                    });
                }
            }
        }
        // Each hypothesis ends with at most one continuation per end token. With this many
        // candidates, at least `num_beams` therefore run on, unless all reach the maximum length.
        let wanted = self.settings.num_beams * (1 + self.settings.end.len()).max(2);
        let order = |a: &Candidate, b: &Candidate| {
            b.key
                .partial_cmp(&a.key)
                .unwrap_or(Ordering::Equal)
                // Ties have a fixed order, so that a result can be reproduced.
                .then((a.parent, a.token).cmp(&(b.parent, b.token)))
        };
        if candidates.len() > wanted {
            // Selecting before sorting: there are as many candidates as beams times tokens of the
            // vocabulary.
            candidates.select_nth_unstable_by(wanted, order);
            candidates.truncate(wanted);
        }
        candidates.sort_unstable_by(order);
        candidates
    }

    /// Adds hypotheses that have just ended to the finished ones and keeps the best.
    fn finish(&mut self, ended: Vec<Finished>) {
        if !self.improvable || (self.is_full() && self.stops_when_full()) {
            return;
        }
        self.finished.extend(ended);
        // A stable sort, so that of equally good hypotheses the older one stays ahead.
        self.finished
            .sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal));
        self.finished.truncate(self.settings.num_beams);
    }

    /// Returns whether the best running hypothesis could still beat the worst finished one.
    fn can_improve(&self) -> bool {
        let Some(best) = self.running.first() else {
            return false;
        };
        let Some(worst) = self.finished.last().filter(|_| self.is_full()) else {
            return true;
        };
        let never = matches!(self.settings.early_stopping, EarlyStopping::When(_));
        // With a positive penalty, the same log-probability scores better in a longer sequence. A
        // search that must never stop early assumes the best case, the maximum length.
        let length = if never && self.settings.length_penalty > 0.0 {
            self.max_length
        } else {
            best.tokens.len()
        };
        self.score(best.log_probability, length) > worst.score
    }

    /// Returns the log-probability divided by a power of the number of generated tokens. This
    /// compensates for longer sequences being less likely.
    fn score(&self, log_probability: f64, length: usize) -> f64 {
        let new = length.saturating_sub(self.prompt) as f64;
        log_probability / new.powf(self.settings.length_penalty)
    }

    fn is_full(&self) -> bool {
        self.finished.len() == self.settings.num_beams
    }

    fn stops_when_full(&self) -> bool {
        self.settings.early_stopping == EarlyStopping::AtFull(true)
    }
}

impl Search for Beams<'_> {
    fn advance(&mut self, scores: Vec<Vec<f64>>) -> Vec<Extended> {
        let candidates = self.candidates(scores);
        let (mut ended, mut kept) = (Vec::new(), Vec::new());
        for (rank, candidate) in candidates.into_iter().enumerate() {
            let parent = &self.running[candidate.parent].tokens;
            let length = parent.len() + 1;
            let ends = length >= self.max_length || self.settings.end.contains(&candidate.token);
            if !ends {
                kept.push(candidate);
            } else if rank < self.settings.num_beams {
                ended.push(Finished {
                    tokens: [parent.as_slice(), &[candidate.token]].concat(),
                    score: self.score(candidate.log_probability, length),
                });
            }
        }
        // Sampled candidates arrive in the order they were drawn, not by probability.
        kept.sort_by(|a, b| {
            let order = b.log_probability.partial_cmp(&a.log_probability);
            order.unwrap_or(Ordering::Equal)
        });
        kept.truncate(self.settings.num_beams);
        self.finish(ended);
        self.running = kept
            .iter()
            .map(|candidate| Beam {
                tokens: [
                    self.running[candidate.parent].tokens.as_slice(),
                    &[candidate.token],
                ]
                .concat(),
                log_probability: candidate.log_probability,
            })
            .collect();
        self.improvable &= self.can_improve();
        if !self.improvable || (self.is_full() && self.stops_when_full()) {
            return Vec::new();
        }
        let extended = |candidate: &Candidate| Extended {
            parent: candidate.parent,
            token: candidate.token,
        };
        kept.iter().map(extended).collect()
    }

    fn sequences(self: Box<Self>) -> Vec<Vec<u32>> {
        let finished = self.finished.into_iter().map(|finished| finished.tokens);
        // If the prompt leaves no room for another token, all hypotheses are still running.
        let running = self.running.into_iter().map(|beam| beam.tokens);
        finished
            .chain(running)
            .take(self.settings.num_sequences)
            .map(|tokens| tokens[self.prompt..].to_vec())
            .collect()
    }
}

/// Draws from the standard Gumbel distribution.
fn gumbel(random: &mut Random) -> f64 {
    // `1 − u` is never 0, so its logarithm is finite.
    -(-(1.0 - random.uniform()).ln()).ln()
}
