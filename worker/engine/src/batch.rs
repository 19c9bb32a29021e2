//! Examples that are explained together, and the embeddings the model gets for them.

mod function;
mod step;

use crate::Error;
use crate::compute::PieceSizes;
use crate::instance::{Contrast, Instance};
use crate::kernels::{Tensor, rows};
use crate::model::dropout::DropoutRates;
use crate::model::{Embedded, ExplainedToken, Inputs, Transformer, Wanted};
use crate::sampler::Sampler;
use crate::sides::{Side, Sides};
pub(crate) use function::AttributedFunction;
pub(crate) use step::{ContrastStep, ExplainedStep};

/// Examples to explain together.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The model.
    pub(crate) model: &'a Transformer,
    /// The function that is attributed.
    pub(crate) function: &'a AttributedFunction<'a>,
    /// The examples.
    pub(crate) instances: &'a [Instance],
    /// Whether the prefix is attributed too, in models with an encoder.
    pub(crate) attribute_target: bool,
    /// Factor from the embeddings that gradients are taken at to those the decoder gets. It is 1
    /// except under `compat`, where Inseq scales the decoder's embeddings twice.
    pub(crate) decoder_factor: f64,
    /// The sizes of passes and chunks.
    pub(crate) sizes: PieceSizes,
    /// Token for anything missing from the source vocabulary.
    pub(crate) unk_token: u32,
    /// Special tokens of each side: those that correspond to no text.
    pub(crate) special_tokens: &'a Sides<Vec<u32>>,
    /// Dropout rates of the passes that run with dropout.
    pub(crate) dropout: DropoutRates,
    /// Seed of all random draws. Each instance derives its own stream from the seed and its id.
    pub(crate) seed: u64,
    /// The masked language model that proposes replacement tokens, if the method names one.
    pub(crate) sampler: Option<&'a Sampler>,
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

    /// Returns one instance per step, each ending with the token that the step explains. A batch of
    /// these instances has the same steps as this batch, in the same order.
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

    /// Returns the embeddings of the instances' tokens, with respect to which gradients are taken.
    pub(crate) fn embeddings(&self) -> Result<Inputs, Error> {
        self.embed(|instance| &instance.source, Instance::decoder_input)
    }

    /// Returns the inputs of the head that predict each contrast's tokens after the contrast's own
    /// prefix, in the order of `ContrastStep::row`; `None` if no instance has a contrast.
    /// `[contrasted steps, hidden]`
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

    /// Returns the inputs the model gets for `embeddings`: the decoder's are scaled by
    /// `decoder_factor`.
    pub(crate) fn model_inputs(&self, embeddings: &Inputs) -> Result<Inputs, Error> {
        if self.decoder_factor == 1.0 {
            return Ok(embeddings.clone());
        }
        let rows = rows::scale(&embeddings.target.rows, self.decoder_factor)?;
        let target = Embedded {
            rows,
            sequences: embeddings.target.sequences.clone(),
        };
        Ok(Inputs {
            source: embeddings.source.clone(),
            target,
        })
    }

    /// Returns which sides need gradients.
    pub(crate) fn wanted(&self) -> Wanted {
        if self.attributes_target() {
            Wanted::All
        } else {
            Wanted::Source
        }
    }

    /// Returns whether the prefix is attributed. In a decoder-only model it always is, since there
    /// is nothing else to attribute to.
    pub(crate) fn attributes_target(&self) -> bool {
        self.attribute_target || !self.model.has_encoder()
    }

    /// Converts a gradient with respect to the decoder's inputs into one with respect to the
    /// embeddings.
    pub(crate) fn at_embeddings(&self, target: Option<Tensor>) -> Result<Option<Tensor>, Error> {
        match target {
            Some(gradient) if self.decoder_factor != 1.0 => {
                Ok(Some(rows::scale(&gradient, self.decoder_factor)?))
            }
            other => Ok(other),
        }
    }
}
