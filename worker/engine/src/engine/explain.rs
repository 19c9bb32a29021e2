//! Explains instances: runs the method, computes the step scores, and assembles the result of each.

use whence_schemas::Compat;

use super::Attributor;
use super::explained::Explained;
use super::regimes::{Boundaries, InstanceParts};
use crate::aggregate::{Pipeline, StepScores};
use crate::batch::{AttributedFunction, Batch};
use crate::collector::{CollectedStep, Collector};
use crate::footprint::Footprint;
use crate::gradient::{self, Pass};
use crate::instance::Instance;
use crate::kernels::Tensor;
use crate::methods::StepPass;
use crate::sides::{Side, Sides};
use crate::{Error, ScoreRows, SequenceScores, StepAttribution};

impl Attributor<'_> {
    /// Explains `instances`, as many at a time as fit into memory.
    pub(super) fn explain_in_runs(
        &self,
        instances: &[Instance],
    ) -> Result<Vec<Result<Explained, Error>>, Error> {
        let model = &self.model;
        let parts = InstanceParts::new(self.boundaries()?, instances);
        let mut results = Vec::with_capacity(parts.all.len());
        let requirements = self.method.requirements(self.spec.compat);
        let passes = self.passes();
        let footprint = Footprint::of(model);
        let bytes = |instance: &Instance| {
            let own = footprint.instance((passes, self.budget.lanes), instance);
            let sequences = if requirements.sequence_scores {
                footprint.sequence_scores(instance)
            } else {
                0
            };
            own + sequences + self.sampler_bytes(instance)
        };
        for run in self.budget.memory.runs(&parts.all, &bytes) {
            match run {
                Ok(run) => results.extend(self.explain(run)?),
                Err(error) => results.push(Err(error)),
            }
        }
        Ok(parts.join(results))
    }

    /// Returns how many passes over an instance are in memory at once.
    fn passes(&self) -> usize {
        let requirements = self.method.requirements(self.spec.compat);
        requirements.held_passes.count(self.budget.lanes) + self.function.dropout_passes()
    }

    /// Fails if not even the passes over `source` and `prompt` tokens fit into memory. No target that
    /// is generated behind the prompt could be explained.
    pub(super) fn check_passes(&self, source: usize, prompt: usize) -> Result<(), Error> {
        let pass = Footprint::of(&self.model).pass(source as u64, prompt as u64);
        self.budget
            .memory
            .check(pass.saturating_mul(self.passes() as u64))
    }

    /// Returns the bytes that the sampler needs to propose replacements for an instance's tokens; 0
    /// if the method has no sampler.
    fn sampler_bytes(&self, instance: &Instance) -> u64 {
        let tokens = instance.source.len().max(instance.target.len());
        let lanes = self.budget.lanes as u64;
        let sampler = self.sampler.as_ref();
        sampler.map_or(0, |sampler| sampler.bytes(tokens as u64, lanes))
    }

    /// Returns where the steps of one instance must be split because one pass cannot serve them
    /// all.
    ///
    /// Fails if the method takes all steps from one pass but the step scores would need several.
    pub(super) fn boundaries(&self) -> Result<Boundaries, Error> {
        let model = &self.model;
        let is_compat = self.spec.compat == Compat::Inseq071;
        let mut boundaries = Boundaries {
            beyond: model.spec().long_rope_threshold(),
            own_prefix: self.spec.contrast.contrast_force_inputs
                && is_compat
                && model.has_encoder(),
        };
        let step_pass = self.method.requirements(self.spec.compat).step_pass;
        if step_pass == StepPass::LongestPrefix {
            if boundaries.beyond.is_some() && !self.step_scores.is_empty() {
                return Err(Error::Specification {
                    reason: format!(
                        "with `compat`, `{}` takes the scores of all steps from one pass over the longest \
                         prefix, but in a model with longrope step scores need a pass per prefix; \
                         record them in a separate job with the method `dummy`, or leave out `compat`",
                        self.spec.method.name
                    ),
                });
            }
            // The method uses the same pass for all steps, whatever the lengths of their prefixes.
            boundaries.beyond = None;
        }
        Ok(boundaries)
    }

    /// Explains `instances` in one batch. An instance with scores that are not finite gets an
    /// error; the others are unaffected.
    fn explain(&self, instances: &[Instance]) -> Result<Vec<Result<Explained, Error>>, Error> {
        if instances.is_empty() {
            return Ok(Vec::new());
        }
        let model = &self.model;
        let compat = self.spec.compat;
        let attributed = |function, contrast| AttributedFunction {
            function,
            compat,
            contrast,
        };
        let function = attributed(self.function.as_ref(), None);
        let passes = self.function.dropout_passes();
        let special_of = |side| self.tokenizer.of(side).special();
        let special_tokens = Sides {
            source: self.tokenizer.of(Side::Source).textless().to_vec(),
            target: self.tokenizer.of(Side::Target).textless().to_vec(),
        };
        let mut batch = Batch {
            model,
            function: &function,
            instances,
            attribute_target: self.spec.attribute_target,
            decoder_factor: match compat {
                Compat::None => 1.0,
                // Inseq scales the decoder's embeddings before it passes them on, and the decoder
                // in transformers scales them again.
                Compat::Inseq071 => model.spec().decoder.given_scale,
            },
            unk_token: special_of(Side::Source).unk,
            special_tokens: &special_tokens,
            sizes: self.budget.sizes(model, passes),
            dropout: self.engine.dropout,
            seed: self.seed,
            sampler: self.sampler.as_deref(),
        };
        let contrast = if self.reads_own_contrast() {
            batch.contrast_hidden()?
        } else {
            None
        };
        let step_scores = self.score_steps(&batch, contrast.as_ref())?;
        let forced = attributed(self.function.as_ref(), contrast);
        if self.spec.contrast.contrast_force_inputs {
            batch.function = &forced;
        }
        let collected = Collector::new(self.collecting(), batch.steps().len(), instances.len());
        self.method.attribute(&batch, &collected)?;
        let (steps, sequences) = collected.into_parts();
        let mut steps = steps.into_iter().zip(step_scores);
        let of_instance = |(instance, sequence_scores): (&Instance, Vec<SequenceScores>)| {
            let steps = self.instance_steps(instance, &mut steps)?;
            check_sequences(&sequence_scores)?;
            Ok(Explained {
                steps,
                sequence_scores,
            })
        };
        Ok(instances.iter().zip(sequences).map(of_instance).collect())
    }

    /// Returns the pipeline that runs while scores are computed.
    fn collecting(&self) -> &Pipeline {
        self.raw.as_ref().unwrap_or(&self.pipeline)
    }

    /// Takes the steps of `instance` off the front of `steps`. Fails if one of them has scores that
    /// are not finite.
    fn instance_steps(
        &self,
        instance: &Instance,
        steps: &mut impl Iterator<Item = (CollectedStep, Vec<f32>)>,
    ) -> Result<Vec<StepAttribution>, Error> {
        // Take all of this instance's steps even if one has failed: the steps of the next instance
        // follow them.
        let steps: Vec<_> = steps.take(instance.explained.len()).collect();
        let own_scores = self.method.requirements(self.spec.compat).step_scores;
        let attribute =
            |(step, (collected, mut step_scores)): (usize, (CollectedStep, Vec<f32>))| {
                for score in own_scores {
                    let value = collected.value_of(*score);
                    step_scores.push(value.ok_or(Error::NotFinite { step })? as f32);
                }
                let StepScores { source, target } =
                    collected.scores.ok_or(Error::NotFinite { step })?;
                if [&source, &target].into_iter().flatten().any(has_no_number) {
                    return Err(Error::NotFinite { step });
                }
                let contrast = instance.contrast.as_ref();
                Ok(StepAttribution {
                    target_pos: instance.explained.start + step,
                    source,
                    target,
                    step_scores,
                    contrast: contrast
                        .map(|contrast| self.token(Side::Target, contrast.token(step))),
                })
            };
        steps.into_iter().enumerate().map(attribute).collect()
    }

    /// Returns whether any function needs the model's prediction after the contrasts' own prefixes.
    fn reads_own_contrast(&self) -> bool {
        let forces = self.spec.contrast.contrast_force_inputs && self.function.is_contrastive();
        forces || self.step_scores.iter().any(|(_, f)| f.is_contrastive())
    }

    /// Returns the step scores of every step of `batch`. `contrast` is the result of
    /// [`Batch::contrast_hidden`].
    fn score_steps(
        &self,
        batch: &Batch<'_>,
        contrast: Option<&Tensor>,
    ) -> Result<Vec<Vec<f32>>, Error> {
        let steps = batch.steps();
        if self.step_scores.is_empty() {
            return Ok(vec![Vec::new(); steps.len()]);
        }
        let inputs = batch.model_inputs(&batch.embeddings()?)?;
        let trace = batch.model.forward(&inputs)?;
        let passes = self.step_scores.iter().map(|(_, f)| f.dropout_passes());
        let passes = passes.max().unwrap_or_default();
        let own: Vec<_> = (0..batch.instances.len()).collect();
        let dropped = batch.forward_dropped(&inputs, &own, passes);
        // There is no backward pass here, so only the head's inputs are kept and each pass is freed
        // before the next one runs.
        let dropped = dropped.map(|trace| Ok::<_, Error>(trace?.head_only()));
        let pass = Pass::beside(trace, dropped.collect::<Result<_, _>>()?);
        let functions = self
            .step_scores
            .iter()
            .map(|(_, function)| function.as_ref());
        // The predictions of a step are computed once for all functions. They are those that the
        // function with the most passes reads.
        let reads_most = functions.clone().max_by_key(|f| f.dropout_passes());
        let Some(function) = reads_most else {
            return Ok(vec![Vec::new(); steps.len()]);
        };
        let reading = AttributedFunction {
            function,
            compat: self.spec.compat,
            contrast: contrast.cloned(),
        };
        let scores = gradient::map_steps(batch, &pass, &steps, &reading, |step| {
            functions.clone().map(|f| f.value(step) as f32).collect()
        });
        Ok(scores?)
    }
}

/// Fails if a score is not finite. The encoder's scores belong to no step, so an error there is
/// reported for the first step.
fn check_sequences(sequences: &[SequenceScores]) -> Result<(), Error> {
    for scores in sequences {
        let Some(column) = scores.columns.iter().position(has_no_number) else {
            continue;
        };
        let step = match scores.side {
            Side::Source => 0,
            Side::Target => column,
        };
        return Err(Error::NotFinite { step });
    }
    Ok(())
}

fn has_no_number(rows: &ScoreRows) -> bool {
    rows.values.iter().any(|value| !value.is_finite())
}
