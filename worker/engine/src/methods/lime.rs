//! `lime`: the coefficients of a linear model of the attributed function, fitted to masked inputs.
//!
//! Each of the `n_samples` samples masks every token with probability `mask_prob`. A ridge
//! regression of strength 1 predicts the function's values from the samples' features. Each sample
//! is weighted by how much of it is kept. Source: Ribeiro et al. 2016,
//! <https://arxiv.org/abs/1602.04938>.
//!
//! By default (`masking: "token"`) a masked token gets the embedding of its baseline and special
//! tokens are never masked. The features say which tokens are kept, and a token's score is its
//! single coefficient. `masking: "fill"`, the default with `compat`, is Inseq's: every entry of a
//! masked embedding is the id of the `unk` token, special tokens are masked too, the features are
//! the entries of the embeddings, and a token has one coefficient per entry.
//!
//! All steps of an example share its masks, so that one pass per sample, from the first masked
//! token on, serves them all. Inseq draws and runs again for every step. Given Inseq's masks in
//! `samples`, the scores equal Inseq's. With `attribute_target`, which Inseq does not support here,
//! source and prefix are masked and fitted together.
//!
//! Cost: `n_samples` forward passes, and a linear system of `n_samples` equations per step.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::method::{Method, Requirements, Sink, wrong_parameters};
use super::support::ridge::Samples;
use super::support::tokens::tokens_of;
use super::support::variants::{Change, Unchanged, Variant};
use crate::Error;
use crate::aggregate::RawScores;
use crate::batch::{Batch, ExplainedStep};
use crate::instance::Instance;
use crate::kernels::{Tensor, host, rows};
use crate::model::{Embedded, Inputs};
use crate::random::Random;
use crate::registry::Describe;
use crate::sides::Side;

/// The coefficients of a linear model fitted to masked inputs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Lime {
    /// Number of samples, each a random mask and a forward pass.
    pub n_samples: usize,
    /// Probability that a token is masked.
    pub mask_prob: f64,
    /// How tokens are masked. When absent, `token`, or `fill` with `compat`.
    pub masking: Option<Masking>,
    /// For each step, sample and token (source before target), whether the token is kept; used
    /// instead of drawn masks, for comparisons with Inseq. One example only.
    pub samples: Option<Vec<Vec<Vec<bool>>>>,
}

/// How tokens are masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Masking {
    /// Replaces the token's embedding by its baseline's.
    Token,
    /// Sets every entry of the embedding to the id of the `unk` token.
    Fill,
}

impl Default for Lime {
    fn default() -> Self {
        Self {
            n_samples: 50,
            mask_prob: 0.3,
            masking: None,
            samples: None,
        }
    }
}

impl Describe for Lime {
    const NAME: &'static str = "lime";
    const SUMMARY: &'static str =
        "coefficients of a linear model of the attributed function, fitted to masked inputs";
}

impl Method for Lime {
    fn attribute(&self, batch: &Batch<'_>, sink: &dyn Sink) -> Result<(), Error> {
        self.check_samples(batch)?;
        let Some(samples) = &self.samples else {
            let masks = batch.instances.iter().map(|i| self.draw(batch, i));
            return self.fit(batch, &masks.collect::<Vec<_>>(), sink);
        };
        let instances = batch.one_instance_a_step();
        let by_step = Batch {
            instances: &instances,
            ..*batch
        };
        for (instance, samples) in instances.iter().zip(samples) {
            let tokens = num_tokens(&by_step, instance);
            if samples.len() != self.n_samples || samples.iter().any(|mask| mask.len() != tokens) {
                let reason = format!(
                    "`samples` must have `n_samples` = {} masks of {tokens} tokens for this step",
                    self.n_samples
                );
                return Err(wrong_parameters(Self::NAME, reason));
            }
        }
        self.fit(&by_step, samples, sink)
    }

    fn validate(&self) -> Result<(), String> {
        if self.n_samples == 0 {
            return Err("`n_samples` must be at least 1".to_owned());
        }
        if !(0.0..=1.0).contains(&self.mask_prob) {
            let given = self.mask_prob;
            return Err(format!(
                "`mask_prob` is {given}, it must be between 0 and 1"
            ));
        }
        Ok(())
    }

    fn default_aggregators(&self) -> &'static [&'static str] {
        &["vnorm"]
    }

    fn requirements(&self, _: Compat) -> Requirements<'_> {
        Requirements::VARIANTS
    }
}

impl Lime {
    fn check_samples(&self, batch: &Batch<'_>) -> Result<(), Error> {
        let wrong = |reason: String| Err(wrong_parameters(Self::NAME, reason));
        let steps = batch.steps().len();
        match &self.samples {
            Some(samples) if samples.len() != steps => wrong(format!(
                "`samples` must have masks for each of the {steps} steps, it has {}",
                samples.len()
            )),
            _ => Ok(()),
        }
    }

    fn masking(&self, batch: &Batch<'_>) -> Masking {
        self.masking.unwrap_or(match batch.function.compat {
            Compat::None => Masking::Token,
            Compat::Inseq071 => Masking::Fill,
        })
    }

    /// Draws the masks of an instance, one per sample; `true` keeps a token.
    fn draw(&self, batch: &Batch<'_>, instance: &Instance) -> Vec<Vec<bool>> {
        let is_special = |side| {
            let special = batch.special_tokens.of(side);
            move |id: &u32| special.contains(id)
        };
        let protects = self.masking(batch) == Masking::Token;
        let mut special = Vec::with_capacity(num_tokens(batch, instance));
        special.extend(instance.source.iter().map(is_special(Side::Source)));
        if batch.attributes_target() {
            let ids = instance.decoder_input().iter();
            special.extend(ids.map(is_special(Side::Target)));
        }
        let of_sample = |sample: usize| {
            // One stream per sample: more samples do not change the masks of the first ones.
            let mut random = Random::new(batch.seed, instance.id, &format!("lime mask {sample}"));
            let mut keeps = |is_special: &bool| {
                let kept = random.uniform() >= self.mask_prob;
                kept || protects && *is_special
            };
            special.iter().map(&mut keeps).collect()
        };
        (0..self.n_samples).map(of_sample).collect()
    }

    /// Fits the linear model of every step, with masks `masks[instance][sample]`.
    fn fit(
        &self,
        batch: &Batch<'_>,
        masks: &[Vec<Vec<bool>>],
        sink: &dyn Sink,
    ) -> Result<(), Error> {
        let unchanged = Unchanged::new(batch)?;
        let masked = Masked {
            batch,
            masking: self.masking(batch),
            masks,
            embeddings: batch.embeddings()?,
            baselines: batch.baselines()?,
        };
        let values = masked.values(&unchanged, self.n_samples)?;
        let steps = unchanged.steps().par_iter().zip(values).enumerate();
        steps.try_for_each(|(index, (step, values))| {
            batch.model.stop().check()?;
            sink.record(index, masked.coefficients(step, values)?)
        })
    }
}

/// Returns how many tokens of an instance can be masked.
fn num_tokens(batch: &Batch<'_>, instance: &Instance) -> usize {
    let target = if batch.attributes_target() {
        instance.decoder_input().len()
    } else {
        0
    };
    instance.source.len() + target
}

/// A batch and its masks.
struct Masked<'a> {
    batch: &'a Batch<'a>,
    masking: Masking,
    masks: &'a [Vec<Vec<bool>>],
    embeddings: Inputs,
    baselines: Inputs,
}

impl Masked<'_> {
    /// Returns the value of the function for every step and sample.
    fn values(
        &self,
        unchanged: &Unchanged<'_>,
        num_samples: usize,
    ) -> Result<Vec<Vec<f64>>, Error> {
        let clean = unchanged.values()?;
        // A sample that masks nothing a step can see leaves the step's value unchanged.
        let mut values: Vec<Vec<f64>> = clean.iter().map(|&v| vec![v; num_samples]).collect();
        let samples = (0..self.masks.len())
            .flat_map(|instance| (0..num_samples).map(move |sample| (instance, sample)));
        let mut places = Vec::new();
        let mut variants = Vec::new();
        for (instance, sample) in samples {
            let Some(change) = self.change(instance, sample)? else {
                continue;
            };
            let from = match change {
                Change::Target { from, .. } => from,
                Change::Source(_) | Change::Both { .. } => 0,
            };
            let steps = unchanged.steps().iter().enumerate();
            let steps = steps.filter(|(_, step)| {
                step.explained.sequence == instance && step.explained.position >= from
            });
            let steps: Vec<_> = steps.map(|(index, _)| index).collect();
            places.push((sample, steps.clone()));
            variants.push(Ok(Variant {
                instance,
                change,
                steps,
            }));
        }
        let changed = unchanged.values_of(variants.into_iter())?;
        for ((sample, steps), changed) in places.into_iter().zip(changed) {
            for (step, value) in steps.into_iter().zip(changed) {
                values[step][sample] = value;
            }
        }
        Ok(values)
    }

    /// Returns the change a mask makes; `None` if it masks no token.
    fn change(&self, instance: usize, sample: usize) -> Result<Option<Change>, Error> {
        let mask = &self.masks[instance][sample];
        let num_source = self.batch.instances[instance].source.len();
        let (of_source, of_target) = mask.split_at(num_source);
        let Some(first) = mask.iter().position(|kept| !kept) else {
            return Ok(None);
        };
        let factor = self.batch.decoder_factor;
        let target = |mask: &[bool]| -> Result<Tensor, Error> {
            let embedded = (&self.embeddings.target, &self.baselines.target);
            let rows = self.masked(embedded, instance, mask)?;
            Ok(if factor == 1.0 {
                rows
            } else {
                rows::scale(&rows, factor)?
            })
        };
        let source = match (&self.embeddings.source, &self.baselines.source) {
            (Some(input), Some(baseline)) => {
                Some(self.masked((input, baseline), instance, of_source)?)
            }
            _ => None,
        };
        Ok(Some(match source {
            Some(source) if of_target.is_empty() => Change::Source(source),
            Some(source) => Change::Both {
                source,
                target: target(of_target)?,
            },
            None => {
                let rows = target(of_target)?;
                let rows = rows.narrow(0, first, rows.dim(0)? - first)?;
                Change::Target { from: first, rows }
            }
        }))
    }

    /// Returns the embeddings of an instance with all tokens masked that `mask` does not keep.
    /// `[tokens, hidden]`
    fn masked(
        &self,
        (input, baseline): (&Embedded, &Embedded),
        instance: usize,
        mask: &[bool],
    ) -> Result<Tensor, Error> {
        let input = tokens_of(input, instance, mask.len())?;
        let masked = match self.masking {
            Masking::Token => tokens_of(baseline, instance, mask.len())?,
            Masking::Fill => rows::filled(&input, f64::from(self.batch.unk_token))?,
        };
        Ok(rows::choose(mask, &input, &masked)?)
    }

    /// Fits the linear model of one step to its values on all samples.
    fn coefficients(&self, step: &ExplainedStep, values: Vec<f64>) -> Result<RawScores, Error> {
        let num_target = if self.batch.attributes_target() {
            step.explained.position + 1
        } else {
            0
        };
        let tokens = step.source_rows + num_target;
        let masks = self.masks[step.explained.sequence].iter();
        let masks: Vec<_> = masks.map(|mask| &mask[..tokens]).collect();
        let (width, features, weights) = match self.masking {
            Masking::Token => {
                let features = masks.iter().copied().flatten();
                let features = features.map(|&kept| f64::from(u8::from(kept)));
                let weights = masks.iter().map(|mask| count(mask) as f64);
                (1, features.collect(), weights.collect())
            }
            Masking::Fill => self.entries(step, num_target, &masks)?,
        };
        let samples = Samples {
            features,
            values,
            weights,
        };
        let coefficients = samples.coefficients(self.batch.model.stop())?;
        let coefficients = host::upload(coefficients, (tokens, width))?;
        let of_source = step.source_rows;
        let side = |first: usize, len: usize| -> Result<Option<Tensor>, Error> {
            let rows = (len > 0).then(|| coefficients.narrow(0, first, len));
            Ok(rows.transpose()?)
        };
        Ok(RawScores {
            source: side(0, of_source)?,
            target: side(of_source, num_target)?,
        })
    }

    /// Returns the number of entries per token, the entries of every sample, and the weight of
    /// every sample: how many of its entries equal the input's.
    fn entries(
        &self,
        step: &ExplainedStep,
        num_target: usize,
        masks: &[&[bool]],
    ) -> Result<(usize, Vec<f64>, Vec<f64>), Error> {
        let instance = step.explained.sequence;
        let mut input = Vec::new();
        if let Some(source) = &self.embeddings.source {
            input.extend(host::download(&tokens_of(
                source,
                instance,
                step.source_rows,
            )?)?);
        }
        if num_target > 0 {
            input.extend(host::download(&tokens_of(
                &self.embeddings.target,
                instance,
                num_target,
            )?)?);
        }
        let hidden = input.len() / (step.source_rows + num_target).max(1);
        let fill = f64::from(self.batch.unk_token);
        let mut features = Vec::with_capacity(masks.len() * input.len());
        let mut weights = Vec::with_capacity(masks.len());
        for mask in masks {
            let mut same = 0_usize;
            for (&kept, row) in mask.iter().zip(input.chunks_exact(hidden)) {
                if kept {
                    features.extend(row);
                    same += hidden;
                } else {
                    features.extend(std::iter::repeat_n(fill, hidden));
                    same += row.iter().filter(|entry| **entry == fill).count();
                }
            }
            weights.push(same as f64);
        }
        Ok((hidden, features, weights))
    }
}

fn count(mask: &[bool]) -> usize {
    mask.iter().filter(|kept| **kept).count()
}
