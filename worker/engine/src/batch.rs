//! Examples that are explained together, and the embeddings the model sees of them.

mod function;
mod step;

use candle_core::Tensor;

use crate::Error;
use crate::compute::PieceSizes;
use crate::instance::{Contrast, Instance};
use crate::kernels::rows;
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
    /// What is attributed.
    pub(crate) function: &'a AttributedFunction<'a>,
    /// The examples.
    pub(crate) instances: &'a [Instance],
    /// Whether the prefix is attributed too, in models with an encoder.
    pub(crate) attribute_target: bool,
    /// Factor between the embeddings gradients are taken at and what the decoder sees. 1, except
    /// where Inseq scales twice.
    pub(crate) decoder_factor: f64,
    /// How large passes and chunks are.
    pub(crate) sizes: PieceSizes,
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
                Ok(Some(rows::scale(&gradient, self.decoder_factor)?))
            }
            other => Ok(other),
        }
    }
}
