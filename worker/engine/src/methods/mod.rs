//! Attribution methods: how much each input token contributed to each produced token.
//!
//! A method gets all steps of a batch at once and decides itself how to batch them. It hands each
//! step's raw scores to a [`Sink`] as soon as they are known, so that what a step needs in memory
//! is gone before the next one comes.

mod attention;
mod deeplift;
mod discretized_integrated_gradients;
mod dummy;
mod gradient_shap;
mod input_x_gradient;
mod integrated_gradients;
mod layer_deeplift;
mod layer_gradient_x_activation;
mod layer_integrated_gradients;
mod lime;
mod occlusion;
mod reagent;
mod saliency;
mod sequential_integrated_gradients;
mod value_zeroing;

mod support;

use std::ops::Range;

use candle_core::Tensor;
use serde_json::{Map, Value};
use whence_schemas::Compat;

use crate::Error;
use crate::aggregate::{RawScores, RawSequenceScores};
use crate::contrast::Contrast;
use crate::gradient::{AttributedFunction, ContrastStep, ExplainedStep};
use crate::kernels::rows;
use crate::model::dropout::DropoutRates;
use crate::model::{Embedded, ExplainedToken, Inputs, Transformer, Wanted};
use crate::registry::{self, Describe, Entry};
use crate::sampler::{Sampler, SamplerSource};
use crate::sides::{Side, Sides};

/// Every method, in the order `whence list methods` shows them.
pub const METHODS: &[Entry<dyn Method>] = &[
    entry::<saliency::Saliency>(),
    entry::<input_x_gradient::InputXGradient>(),
    entry::<integrated_gradients::IntegratedGradients>(),
    entry::<deeplift::DeepLift>(),
    entry::<gradient_shap::GradientShap>(),
    entry::<sequential_integrated_gradients::SequentialIntegratedGradients>(),
    entry::<discretized_integrated_gradients::DiscretizedIntegratedGradients>(),
    entry::<layer_gradient_x_activation::LayerGradientXActivation>(),
    entry::<layer_integrated_gradients::LayerIntegratedGradients>(),
    entry::<layer_deeplift::LayerDeepLift>(),
    entry::<occlusion::Occlusion>(),
    entry::<lime::Lime>(),
    entry::<reagent::Reagent>(),
    entry::<attention::Attention>(),
    entry::<value_zeroing::ValueZeroing>(),
    entry::<dummy::Dummy>(),
];

/// Scores how much each input token contributed to each produced token.
pub trait Method: std::fmt::Debug + Send + Sync {
    /// Hands the raw scores of every step of `batch` to `sink`.
    fn attribute(&self, batch: &Batch<'_>, sink: &dyn Sink) -> Result<(), Error>;

    /// Returns the aggregators that make one score a token of this method's raw scores.
    fn default_aggregators(&self) -> &'static [&'static str];

    /// Returns whether the attributed function must have a gradient.
    fn needs_gradient(&self) -> bool {
        true
    }

    /// Returns whether it attributes functions of passes with dropout: whether it knows nothing of the
    /// passes but what goes in and what comes out.
    fn attributes_dropout(&self) -> bool {
        true
    }

    /// Returns the masked language model it has tokens proposed by, if any.
    fn sampler(&self) -> Option<&SamplerSource> {
        None
    }

    /// Returns whether it records the convergence delta of each step.
    fn records_deltas(&self) -> bool {
        false
    }

    /// Returns whether it records scores of a stack's tokens for each other.
    fn records_sequence_scores(&self, _: Compat) -> bool {
        false
    }

    /// Fails if a parameter asks for what `model` does not have.
    fn check(&self, _: &Transformer) -> Result<(), Error> {
        Ok(())
    }
}

/// Takes the raw scores of steps, in any order, from any thread.
pub trait Sink: Sync {
    /// Takes the scores of step `step`, an index into [`Batch::steps`].
    fn record(&self, step: usize, scores: RawScores) -> Result<(), Error>;

    /// Takes the convergence delta of step `step`: the sum of its scores, less the change of the
    /// attributed function from the baselines to the inputs.
    fn record_delta(&self, step: usize, delta: f64) -> Result<(), Error>;

    /// Takes the scores of the tokens of instance `instance` for each other.
    fn record_sequence(&self, instance: usize, scores: RawSequenceScores) -> Result<(), Error>;
}

/// Examples to explain together.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The model.
    pub(crate) model: &'a Transformer,
    /// What is attributed.
    pub(crate) function: &'a AttributedFunction<'a>,
    /// The examples.
    pub(crate) instances: &'a [Instance],
    /// Whether the prefix is attributed too, in models with an encoder.
    pub(crate) attribute_target: bool,
    /// Factor between the embeddings gradients are taken at and what the decoder sees. 1, except
    /// where Inseq scales twice.
    pub(crate) decoder_factor: f64,
    /// Most rows of a pass over several points or variants.
    pub(crate) pass_rows: usize,
    /// Most cotangent rows of one chunk of a backward pass, unless one explained token alone has more.
    pub(crate) cotangent_rows: usize,
    /// Stands for what the source's vocabulary lacks.
    pub(crate) unk_token: u32,
    /// Tokens of each side that stand for no text.
    pub(crate) special_tokens: &'a Sides<Vec<u32>>,
    /// Shares of values that passes with dropout drop.
    pub(crate) dropout: DropoutRates,
    /// Seed of what is random; each instance's own is derived from it and the instance's id.
    pub(crate) seed: u64,
    /// Proposes tokens, where the method names one.
    pub(crate) sampler: Option<&'a Sampler>,
}

/// One example, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Number of the example; seeds what is random for it.
    pub id: i64,
    /// Tokens of the encoder; empty for decoder-only models.
    pub source: Vec<u32>,
    /// What each of them is compared with.
    pub source_baseline: Vec<u32>,
    /// Tokens of the decoder.
    pub target: Vec<u32>,
    /// What each of them is compared with.
    pub target_baseline: Vec<u32>,
    /// Positions of the target to explain. Position 0 has nothing before it.
    pub explained: Range<usize>,
    /// What it is contrasted with.
    pub contrast: Option<Contrast>,
}

impl Instance {
    /// Returns the tokens the decoder must see for its last explained token to be predicted.
    pub(crate) fn decoder_input(&self) -> &[u32] {
        &self.target[..self.explained.end - 1]
    }

    fn decoder_baseline(&self) -> &[u32] {
        &self.target_baseline[..self.explained.end - 1]
    }
}

impl Batch<'_> {
    /// Returns the steps of all instances, instance after instance.
    pub(crate) fn steps(&self) -> Vec<ExplainedStep> {
        let mut contrast_rows = 0..;
        let of_instance = |(sequence, instance): (usize, &Instance)| -> Vec<ExplainedStep> {
            let step = |(index, position): (usize, usize)| ExplainedStep {
                explained: ExplainedToken {
                    sequence,
                    position: position - 1,
                },
                token: instance.target[position],
                source_rows: instance.source.len(),
                contrast: instance.contrast.as_ref().map(|contrast| ContrastStep {
                    token: contrast.token(index),
                    row: contrast_rows.next().expect("there is a next number"),
                    position: contrast.aligned[index] - 1,
                }),
            };
            instance.explained.clone().enumerate().map(step).collect()
        };
        self.instances
            .iter()
            .enumerate()
            .flat_map(of_instance)
            .collect()
    }

    /// Returns an instance for every step, ending with the token it explains. The steps of a batch
    /// of these are those of this batch, in the same order.
    pub(crate) fn one_instance_a_step(&self) -> Vec<Instance> {
        let of_instance = |instance: &'_ Instance| -> Vec<Instance> {
            let ending_at = |(index, position): (usize, usize)| Instance {
                target: instance.target[..=position].to_vec(),
                target_baseline: instance.target_baseline[..=position].to_vec(),
                explained: position..position + 1,
                contrast: instance.contrast.as_ref().map(|contrast| Contrast {
                    aligned: vec![contrast.aligned[index]],
                    ..contrast.clone()
                }),
                ..instance.clone()
            };
            let positions = instance.explained.clone().enumerate();
            positions.map(ending_at).collect()
        };
        self.instances.iter().flat_map(of_instance).collect()
    }

    /// Returns the embeddings that gradients are taken at.
    pub(crate) fn embeddings(&self) -> Result<Inputs, Error> {
        self.embed(|instance| &instance.source, Instance::decoder_input)
    }

    /// Returns the head's inputs after each contrast's own prefix, in the order the steps count
    /// them; `None` where no instance has a contrast. `[contrasted steps, hidden]`
    pub(crate) fn contrast_hidden(&self) -> Result<Option<Tensor>, Error> {
        let contrasts: Vec<_> = self
            .instances
            .iter()
            .filter_map(|instance| instance.contrast.as_ref())
            .collect();
        if contrasts.is_empty() {
            return Ok(None);
        }
        let source = if self.model.has_encoder() {
            let sources = contrasts.iter().map(|contrast| contrast.source.as_slice());
            Some(self.model.embed(Side::Source, sources)?)
        } else {
            None
        };
        let targets = contrasts.iter().map(|contrast| contrast.decoder_input());
        let inputs = self.model_inputs(&Inputs {
            source,
            target: self.model.embed(Side::Target, targets)?,
        })?;
        let explained = contrasts
            .iter()
            .enumerate()
            .flat_map(|(sequence, contrast)| {
                contrast.aligned.iter().map(move |position| ExplainedToken {
                    sequence,
                    position: position - 1,
                })
            });
        let trace = self.model.forward(&inputs)?;
        Ok(Some(
            self.model.hidden(&trace, &explained.collect::<Vec<_>>())?,
        ))
    }

    /// Returns the embeddings of the baselines.
    pub(crate) fn baselines(&self) -> Result<Inputs, Error> {
        self.embed(
            |instance| &instance.source_baseline,
            Instance::decoder_baseline,
        )
    }

    fn embed(
        &self,
        source: fn(&Instance) -> &[u32],
        target: fn(&Instance) -> &[u32],
    ) -> Result<Inputs, Error> {
        let embed = |side, tokens: fn(&Instance) -> &[u32]| {
            self.model.embed(side, self.instances.iter().map(tokens))
        };
        let source = if self.model.has_encoder() {
            Some(embed(Side::Source, source)?)
        } else {
            None
        };
        Ok(Inputs {
            source,
            target: embed(Side::Target, target)?,
        })
    }

    /// Returns what the model sees where the embeddings are `embeddings`.
    pub(crate) fn model_inputs(&self, embeddings: &Inputs) -> Result<Inputs, Error> {
        if self.decoder_factor == 1.0 {
            return Ok(embeddings.clone());
        }
        let rows = (&embeddings.target.rows * self.decoder_factor)?;
        let target = Embedded {
            rows,
            sequences: embeddings.target.sequences.clone(),
        };
        Ok(Inputs {
            source: embeddings.source.clone(),
            target,
        })
    }

    /// Returns which gradients are wanted.
    pub(crate) fn wanted(&self) -> Wanted {
        if self.attributes_target() {
            Wanted::All
        } else {
            Wanted::Source
        }
    }

    /// Returns whether the prefix is attributed.
    pub(crate) fn attributes_target(&self) -> bool {
        self.attribute_target || !self.model.has_encoder()
    }

    /// Turns a gradient at what the decoder saw into one at the embeddings.
    pub(crate) fn at_embeddings(&self, target: Option<Tensor>) -> Result<Option<Tensor>, Error> {
        match target {
            Some(gradient) if self.decoder_factor != 1.0 => {
                Ok(Some((gradient * self.decoder_factor)?))
            }
            other => Ok(other),
        }
    }
}

/// Returns the rows of `embedded` that belong to the first `len` tokens of sequence `index`.
fn tokens_of(embedded: &Embedded, index: usize, len: usize) -> Result<Tensor, Error> {
    Ok(embedded
        .rows
        .narrow(0, embedded.sequences.rows(index).start, len)?)
}

/// Returns `a ⊙ b`. `[tokens, hidden]`
fn multiply(a: &Tensor, b: &Tensor) -> Result<Tensor, Error> {
    Ok(rows::multiply(a, b)?)
}

/// Returns the error of parameters that `method` cannot use.
fn wrong_parameters(method: &str, reason: String) -> Error {
    Error::Parameters {
        what: "attribution method",
        name: method.to_owned(),
        reason,
    }
}

/// Builds the method called `name`.
pub(crate) fn build(name: &str, parameters: &Map<String, Value>) -> Result<Box<dyn Method>, Error> {
    registry::build(METHODS, name, parameters, "attribution method", "methods")
}

const fn entry<M: Method + Describe + 'static>() -> Entry<dyn Method> {
    Entry {
        name: M::NAME,
        aliases: M::ALIASES,
        summary: M::SUMMARY,
        parameters: registry::parameters::<M>,
        build: |parameters| Ok(Box::new(registry::read::<M>(parameters)?)),
    }
}
