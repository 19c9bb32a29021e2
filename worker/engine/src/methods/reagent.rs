//! `reagent`: how much the probability of the produced token falls when a token is replaced by a
//! similar one, estimated by repeated trials.
//!
//! Each of `num_probes` probes keeps an importance z per token, initially drawn from `[0, 1)`. A
//! trial replaces each token with probability `replacing_ratio`. If the probability falls by Δ,
//! `z += logit((1 + Δ) / 2)` for replaced tokens, and the same with −Δ for the others. A probe
//! stops once the produced token is among the `stopping_condition_top_k` most probable ones with
//! only the `keep_top_n` most important tokens kept and all others replaced. The scores are the
//! mean of softmax(z) over the probes that stopped, or over all probes if none did. Source: Zhao &
//! Shan 2024, <https://arxiv.org/abs/2402.00794>.
//!
//! A token is replaced by one of its `n_neighbors` nearest neighbors among the model's own
//! embeddings, drawn uniformly. With a masked language model as `sampler`, it is replaced by one of
//! the `n_neighbors` tokens most probable in its place, drawn by their probabilities; if none of
//! them is a token of the model, it stays. The sampler sees the tokens before the explained one,
//! with only the token to replace masked. The paper masks all tokens that a trial replaces, which
//! would cost a `RoBERTa` pass per trial. Inseq replaces by any token with the same part of speech,
//! which needs a tagger. Given Inseq's draws in `samples`, the scores equal Inseq's. Without
//! `attribute_target`, only the source is replaced in models with an encoder; Inseq fails in that
//! case. With `invert_keep` Inseq keeps no token at all, and so does `compat`. The attributed
//! function has no effect.
//!
//! The trials of all probes and steps share passes. Cost: two forward passes per trial; with a
//! sampler, also one pass of it over the step's text per token that may be replaced.

use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use self::probe::{Draws, Kept, Probe};
use self::replacements::Replacements;
use super::method::{Method, Requirements, Sink, wrong_parameters};
use super::support::variants::{Change, Unchanged, Variant};
use crate::Error;
use crate::aggregate::RawScores;
use crate::batch::{Batch, ExplainedStep};
use crate::gradient;
use crate::kernels::softmax_in_place;
use crate::kernels::{Tensor, host};
use crate::model::Trace;
use crate::random::Random;
use crate::registry::Describe;
use crate::sampler::SamplerSource;
use crate::sides::Side;

mod probe;
mod replacements;
#[cfg(test)]
mod tests;

/// How much replacing tokens lowers the probability of the produced token.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Reagent {
    /// How many of the most important tokens the stopping condition keeps; 0 to keep `keep_ratio`
    /// of them.
    pub keep_top_n: usize,
    /// Share of the tokens that the stopping condition keeps if `keep_top_n` is 0.
    pub keep_ratio: Option<f64>,
    /// For the stopping condition, replace the most important tokens instead of the others.
    pub invert_keep: bool,
    /// A probe stops when the produced token is among this many most probable ones.
    pub stopping_condition_top_k: usize,
    /// Probability that a token is replaced in a trial.
    pub replacing_ratio: f64,
    /// Maximum number of trials per probe.
    pub max_probe_steps: usize,
    /// Number of independent probes per step.
    pub num_probes: usize,
    /// Number of nearest neighbors, or of most probable proposals, that a replacement is drawn
    /// from.
    pub n_neighbors: usize,
    /// Folder of a masked language model that proposes replacements; when absent, replacements are
    /// the nearest neighbors among the model's own embeddings.
    pub sampler: Option<SamplerSource>,
    /// For each step, the draws to use instead of random ones; for comparisons with Inseq. One
    /// example only.
    pub samples: Option<Vec<Draws>>,
}

impl Default for Reagent {
    fn default() -> Self {
        Self {
            keep_top_n: 5,
            keep_ratio: None,
            invert_keep: false,
            stopping_condition_top_k: 3,
            replacing_ratio: 0.3,
            max_probe_steps: 3000,
            num_probes: 16,
            n_neighbors: 50,
            sampler: None,
            samples: None,
        }
    }
}

impl Describe for Reagent {
    const NAME: &'static str = "reagent";
    const SUMMARY: &'static str =
        "how much replacing a token by one like it lowers the probability of the produced token";
}

impl Method for Reagent {
    fn attribute(&self, batch: &Batch<'_>, sink: &dyn Sink) -> Result<(), Error> {
        self.check_samples(batch)?;
        // Replacements enter the model as token ids, so Inseq scales their embeddings only once,
        // even under `compat`.
        let batch = &Batch {
            decoder_factor: 1.0,
            ..*batch
        };
        let trials = Trials {
            method: self,
            batch,
            replacements: self.replacements(batch)?,
            unchanged: Unchanged::new(batch)?,
        };
        let steps = trials.unchanged.steps();
        let probabilities = trials.probabilities(trials.unchanged.trace(), steps)?;
        let mut probes: Vec<Probe> = (0..steps.len())
            .flat_map(|step| (0..self.num_probes).map(move |number| (step, number)))
            .map(|(step, number)| trials.probe(step, number))
            .collect();
        for round in 0..self.max_probe_steps {
            if probes.iter().all(|probe| probe.is_over(round)) {
                break;
            }
            trials.run(&mut probes, round, &probabilities)?;
        }
        let by_step = probes.chunks_exact(self.num_probes).enumerate();
        for (index, probes) in by_step {
            let scores = mean(probes);
            let num_source = steps[index].source_rows;
            let (source, target) = scores.split_at(num_source);
            let side = |scores: &[f64]| -> Result<Option<Tensor>, Error> {
                let rows = host::upload(scores.to_vec(), (scores.len(), 1))?;
                Ok((!scores.is_empty()).then_some(rows))
            };
            let (source, target) = (side(source)?, side(target)?);
            sink.record(index, RawScores { source, target })?;
        }
        Ok(())
    }

    fn validate(&self) -> Result<(), String> {
        if self.num_probes == 0 || self.max_probe_steps == 0 || self.n_neighbors == 0 {
            let names = "`num_probes`, `max_probe_steps` and `n_neighbors`";
            return Err(format!("{names} must be at least 1"));
        }
        if !(0.0..=1.0).contains(&self.replacing_ratio) {
            let ratio = self.replacing_ratio;
            return Err(format!(
                "`replacing_ratio` is {ratio}, it must be between 0 and 1"
            ));
        }
        match self.keep_ratio {
            None if self.keep_top_n == 0 => {
                return Err("with `keep_top_n` 0 a `keep_ratio` is needed".to_owned());
            }
            Some(ratio) if !(0.0..=1.0).contains(&ratio) => {
                return Err(format!(
                    "`keep_ratio` is {ratio}, it must be between 0 and 1"
                ));
            }
            _ => {}
        }
        if self.samples.is_some() && self.sampler.is_some() {
            return Err("`samples` says what is drawn; leave out `sampler`".to_owned());
        }
        Ok(())
    }

    fn default_aggregators(&self) -> &'static [&'static str] {
        &["vnorm"]
    }

    fn requirements(&self, _: Compat) -> Requirements<'_> {
        Requirements {
            sampler: self.sampler.as_ref(),
            ..Requirements::VARIANTS
        }
    }
}

/// Returns the mean importance over the probes that stopped; over all if none did.
fn mean(probes: &[Probe]) -> Vec<f64> {
    let any_stopped = probes.iter().any(Probe::has_stopped);
    let counted = probes
        .iter()
        .filter(|probe| probe.has_stopped() || !any_stopped);
    let counted: Vec<_> = counted.map(Probe::importance).collect();
    let tokens = counted.first().map_or(0, Vec::len);
    let sum = |token: usize| counted.iter().map(|scores| scores[token]).sum::<f64>();
    (0..tokens)
        .map(|token| sum(token) / counted.len() as f64)
        .collect()
}

impl Reagent {
    /// Fails if `samples` is given but does not fit the batch's steps and tokens.
    fn check_samples(&self, batch: &Batch<'_>) -> Result<(), Error> {
        let Some(samples) = &self.samples else {
            return Ok(());
        };
        let steps = batch.steps();
        let fits = |(draws, step): (&Draws, &ExplainedStep)| {
            draws.fit(self.num_probes, num_tokens(batch, step))
        };
        if samples.len() != steps.len() || !samples.iter().zip(&steps).all(fits) {
            let steps = steps.len();
            let reason = format!(
                "`samples` must have draws of all probes and tokens for each of the {steps} steps"
            );
            return Err(wrong_parameters(Self::NAME, reason));
        }
        Ok(())
    }

    /// Returns the possible replacements of tokens.
    fn replacements(&self, batch: &Batch<'_>) -> Result<Replacements, Error> {
        match batch.sampler {
            _ if self.samples.is_some() => Ok(Replacements::Given),
            None => Replacements::near(batch, &batch.steps(), self.n_neighbors),
            Some(sampler) => {
                Replacements::expected(batch, &batch.steps(), sampler, self.n_neighbors)
            }
        }
    }

    /// Returns which of the `tokens` tokens the stopping condition keeps.
    fn kept(&self, tokens: usize, compat: Compat) -> Kept {
        let top = match self.keep_ratio {
            Some(ratio) if self.keep_top_n == 0 => (ratio * tokens as f64).ceil() as usize,
            _ => self.keep_top_n,
        };
        match (self.invert_keep, compat) {
            (false, _) => Kept::Top(top),
            (true, Compat::None) => Kept::AllBut(top),
            (true, Compat::Inseq071) => Kept::Nothing,
        }
    }
}

/// Returns how many tokens of a step may be replaced.
fn num_tokens(batch: &Batch<'_>, step: &ExplainedStep) -> usize {
    let target = if batch.attributes_target() {
        step.explained.position + 1
    } else {
        0
    };
    step.source_rows + target
}

/// The trials of a batch.
struct Trials<'a> {
    method: &'a Reagent,
    batch: &'a Batch<'a>,
    unchanged: Unchanged<'a>,
    replacements: Replacements,
}

impl Trials<'_> {
    /// Returns probe `number` of step `step`, before its first trial.
    fn probe(&self, step: usize, number: usize) -> Probe {
        let explained_step = &self.unchanged.steps()[step];
        let instance = &self.batch.instances[explained_step.explained.sequence];
        let mut tokens = instance.source.clone();
        if self.batch.attributes_target() {
            tokens.extend(&instance.target[..=explained_step.explained.position]);
        }
        let injected = self.method.samples.as_ref().map(|samples| &samples[step]);
        if let Some(draws) = injected {
            return Probe::injected(step, tokens, draws, number);
        }
        let position = explained_step.explained.position;
        // Named by position rather than by step index, so that the draws for a token do not depend
        // on which other tokens are explained.
        let purpose = format!("reagent position {position} probe {number}");
        let random = Random::new(self.batch.seed, instance.id, &purpose);
        Probe::drawn(step, tokens, random)
    }

    /// Runs trial `round` of every probe that has not ended. `before` holds the unchanged
    /// probability for each step.
    fn run(&self, probes: &mut [Probe], round: usize, before: &[f64]) -> Result<(), Error> {
        let mut going: Vec<&mut Probe> = probes
            .iter_mut()
            .filter(|probe| !probe.is_over(round))
            .collect();
        let trials: Vec<_> = going
            .iter_mut()
            .map(|probe| probe.replace_some(round, self.method.replacing_ratio, &self.replacements))
            .collect();
        let mut after = Vec::with_capacity(going.len());
        let variants = self.variants(&going, trials.iter().map(|trial| trial.tokens.as_slice()));
        self.unchanged.for_each_pass(variants, |_, pass, steps| {
            after.extend(self.probabilities(&pass.trace, steps)?);
            Ok(())
        })?;
        for ((probe, trial), after) in going.iter_mut().zip(&trials).zip(&after) {
            probe.learn(trial, before[probe.step] - after);
        }
        let method = self.method;
        let kept: Vec<_> = going
            .iter_mut()
            .map(|probe| {
                let kept = method.kept(probe.num_tokens(), self.batch.function.compat);
                probe.replace_others(round, kept, &self.replacements)
            })
            .collect();
        let mut ranks = Vec::with_capacity(going.len());
        let variants = self.variants(&going, kept.iter().map(Vec::as_slice));
        self.unchanged.for_each_pass(variants, |_, pass, steps| {
            ranks.extend(self.ranks(&pass.trace, steps)?);
            Ok(())
        })?;
        for (probe, rank) in going.iter_mut().zip(ranks) {
            if rank < method.stopping_condition_top_k {
                probe.stop();
            }
        }
        Ok(())
    }

    /// Returns the instance of each probe with the given tokens in place of its own.
    fn variants<'t>(
        &'t self,
        probes: &'t [&mut Probe],
        tokens: impl Iterator<Item = &'t [u32]> + 't,
    ) -> impl Iterator<Item = Result<Variant, Error>> + 't {
        probes.iter().zip(tokens).map(|(probe, tokens)| {
            let step = &self.unchanged.steps()[probe.step];
            Ok(Variant {
                instance: step.explained.sequence,
                change: self.change(step, tokens)?,
                steps: vec![probe.step],
            })
        })
    }

    /// Returns the change that sets a step's inputs to `tokens`, source before target.
    fn change(&self, step: &ExplainedStep, tokens: &[u32]) -> Result<Change, Error> {
        let model = self.batch.model;
        let (source, target) = tokens.split_at(step.source_rows);
        let embed = |side, tokens: &[u32]| model.embed(side, std::iter::once(tokens));
        if source.is_empty() {
            let instance = &self.batch.instances[step.explained.sequence];
            let own = instance.target.iter().zip(target);
            let same = own.take_while(|(own, new)| own == new).count();
            // The pass must contain the predicting row even if no token before it changed.
            let from = same.min(step.explained.position);
            let rows = embed(Side::Target, &target[from..])?.rows;
            return Ok(Change::Target { from, rows });
        }
        let source = embed(Side::Source, source)?.rows;
        if target.is_empty() {
            return Ok(Change::Source(source));
        }
        let target = embed(Side::Target, target)?.rows;
        Ok(Change::Both { source, target })
    }

    /// Returns the probability of each step's produced token.
    fn probabilities(&self, trace: &Trace, steps: &[ExplainedStep]) -> Result<Vec<f64>, Error> {
        let probability = |step: &ExplainedStep, mut logits: Vec<f64>| {
            softmax_in_place(&mut logits);
            logits[step.token as usize]
        };
        Ok(gradient::map_logits(self.batch, trace, steps, probability)?)
    }

    /// Returns for each step how many tokens are more probable than the produced one.
    fn ranks(&self, trace: &Trace, steps: &[ExplainedStep]) -> Result<Vec<usize>, Error> {
        let rank = |step: &ExplainedStep, logits: Vec<f64>| {
            let own = logits[step.token as usize];
            logits.iter().filter(|logit| **logit > own).count()
        };
        Ok(gradient::map_logits(self.batch, trace, steps, rank)?)
    }
}
