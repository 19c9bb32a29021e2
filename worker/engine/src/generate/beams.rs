//! Beam search: the likeliest hypotheses are carried along together.
//!
//! A step takes the best continuations of all hypotheses, twice as many as there are beams at
//! least, so that enough are left when some have ended. Those among the best that have ended
//! compete for the result by their score over a power of their length; the others run on.
//! Behaviour and its order of decisions as in transformers 5 (`GenerationMixin._beam_search`),
//! for each prompt alone: there, a batch of prompts ends together.

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
    /// Best first.
    running: Vec<Beam>,
    /// Best first, as many as there are beams at most.
    finished: Vec<Finished>,
    /// Whether a running hypothesis may still become better than the finished ones.
    improvable: bool,
}

struct Beam {
    /// Prompt and what follows it.
    tokens: Vec<u32>,
    /// Sum of the log-probabilities of what follows it.
    log_probability: f64,
}

struct Finished {
    tokens: Vec<u32>,
    score: f64,
}

/// A hypothesis with one of the tokens that may follow it.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    parent: usize,
    token: u32,
    log_probability: f64,
    /// What candidates are chosen by: the log-probability, with noise where they are drawn.
    key: f64,
}

impl<'s> Beams<'s> {
    /// Starts the search for what follows a prompt, which may become `max_length` tokens long.
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

    /// Returns the best continuations of all hypotheses, best first.
    fn candidates(&mut self, scores: Vec<Vec<f64>>) -> Vec<Candidate> {
        let mut candidates = Vec::new();
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
                    // The largest of values with Gumbel noise are a draw without replacement.
                    // Source: Kool et al. 2019, <https://arxiv.org/abs/1903.06059>.
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
        let wanted = self.settings.num_beams * (1 + self.settings.end.len()).max(2);
        let order = |a: &Candidate, b: &Candidate| {
            b.key
                .partial_cmp(&a.key)
                .unwrap_or(Ordering::Equal)
                .then((a.parent, a.token).cmp(&(b.parent, b.token)))
        };
        if candidates.len() > wanted {
            candidates.select_nth_unstable_by(wanted, order);
            candidates.truncate(wanted);
        }
        candidates.sort_unstable_by(order);
        candidates
    }

    /// Lets the sequences that ended compete with those that had ended before.
    fn finish(&mut self, ended: Vec<Finished>) {
        if !self.improvable || (self.is_full() && self.stops_when_full()) {
            return;
        }
        self.finished.extend(ended);
        // Stable: of equally good ones the older stays.
        self.finished
            .sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal));
        self.finished.truncate(self.settings.num_beams);
    }

    /// Returns whether the best running hypothesis may become better than the worst finished one.
    fn can_improve(&self) -> bool {
        let Some(best) = self.running.first() else {
            return false;
        };
        let Some(worst) = self.finished.last().filter(|_| self.is_full()) else {
            return true;
        };
        let never = matches!(self.settings.early_stopping, EarlyStopping::When(_));
        let length = if never && self.settings.length_penalty > 0.0 {
            self.max_length
        } else {
            best.tokens.len()
        };
        self.score(best.log_probability, length) > worst.score
    }

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
        // Drawn candidates come in the order they were drawn in.
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
        // A prompt that leaves no room for more has nothing but running hypotheses.
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
    // 1 − u is never 0, whose logarithm there is not.
    -(-(1.0 - random.uniform()).ln()).ln()
}
