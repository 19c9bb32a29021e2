//! Passes with dropout: the model as it is trained, for what its uncertainty says.
//!
//! Each place where training drops values draws its own mask; what stays is divided by the share
//! that stays. The rates are those of the model's `config.json`, under the names its authors use.
//! Masks are drawn sequence by sequence from each sequence's own stream, so that they do not depend
//! on the batch. Whole layers, which some models skip in training, are not skipped.

use candle_core::Tensor;

use super::config::ConfigFile;
use super::layers::Memory;
use super::sequences::Sequences;
use super::stack::Stack;
use super::{Inputs, Transformer};
use crate::Error;
use crate::error::Result;
use crate::kernels::dropout::drop_elements;
use crate::random::Random;

/// Shares of values that training drops.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DropoutRates {
    /// Of what enters a stack.
    pub embedding: f64,
    /// Of what a sublayer adds to the stream.
    pub residual: f64,
    /// Of the weights of an attention.
    pub attention: f64,
    /// Of the inner values of a feed-forward network.
    pub activation: f64,
    /// Of what leaves a stack.
    pub output: f64,
}

impl DropoutRates {
    /// Reads the rates of a model's `config.json`; those it does not name are 0.
    ///
    /// Fails if one is not a share below 1.
    pub fn read(config: &ConfigFile) -> Result<Self, Error> {
        let first = |names: &[&str]| -> Result<Option<f64>, Error> {
            for name in names {
                if let Some(rate) = config.optional_number(name)? {
                    if !(0.0..1.0).contains(&rate) {
                        let reason = format!("`{name}` is {rate}, not a share below 1");
                        return Err(config.refused(reason));
                    }
                    return Ok(Some(rate));
                }
            }
            Ok(None)
        };
        // T5 has one rate for every place.
        if let Some(rate) = first(&["dropout_rate"])? {
            return Ok(Self {
                embedding: rate,
                residual: rate,
                attention: rate,
                activation: rate,
                output: rate,
            });
        }
        let residual = first(&["dropout", "resid_pdrop", "resid_dropout", "hidden_dropout"])?;
        let mut embedding = first(&["embd_pdrop", "embed_dropout", "embd_dropout", "emb_dropout"])?;
        // BART and its relatives drop embeddings at the rate of everything else.
        if config.flag_or("is_encoder_decoder", false)? {
            embedding = embedding.or(residual);
        }
        Ok(Self {
            embedding: embedding.unwrap_or_default(),
            residual: residual.unwrap_or_default(),
            attention: first(&["attention_dropout", "attn_pdrop"])?.unwrap_or_default(),
            activation: first(&["activation_dropout"])?.unwrap_or_default(),
            output: 0.0,
        })
    }
}

/// The masks of one pass.
pub(super) struct Masks<'a> {
    pub(super) rates: DropoutRates,
    /// One stream a sequence.
    streams: &'a mut [Random],
}

impl Masks<'_> {
    /// Drops a share `rate` of the values of `rows`. `[rows, width]`
    pub(super) fn drop_rows(
        &mut self,
        rows: &Tensor,
        sequences: &Sequences,
        rate: f64,
    ) -> Result<Tensor> {
        let (_, width) = rows.dims2()?;
        let of_sequence = sequences.iter().map(|r| r.start * width..r.end * width);
        drop_elements(rows, rate, of_sequence, self.streams)
    }

    /// Drops a share of the weights of an attention, whose elements `of_sequence` are those of each
    /// sequence.
    pub(super) fn drop_weights(
        &mut self,
        weights: &Tensor,
        of_sequence: impl Iterator<Item = std::ops::Range<usize>>,
    ) -> Result<Tensor> {
        drop_elements(weights, self.rates.attention, of_sequence, self.streams)
    }
}

impl Transformer {
    /// Runs the model with dropout over whole sequences, drawing the masks of sequence `i` from
    /// `streams[i]`. Returns the head's inputs. `[target rows, hidden]`
    pub(crate) fn forward_dropped(
        &self,
        inputs: &Inputs,
        rates: DropoutRates,
        streams: &mut [Random],
    ) -> Result<Tensor> {
        let mut masks = Masks { rates, streams };
        let memory = match (&self.encoder, &inputs.source) {
            (Some(stack), Some(source)) => Some(Memory {
                rows: stack.forward_dropped(&source.rows, &source.sequences, None, &mut masks)?,
                sequences: source.sequences.clone(),
            }),
            _ => None,
        };
        let target = &inputs.target;
        self.decoder
            .forward_dropped(&target.rows, &target.sequences, memory.as_ref(), &mut masks)
    }
}

impl Stack {
    /// Runs the stack with dropout over `embeddings`. `[rows, hidden]`
    fn forward_dropped(
        &self,
        embeddings: &Tensor,
        sequences: &Sequences,
        memory: Option<&Memory>,
        masks: &mut Masks<'_>,
    ) -> Result<Tensor> {
        let rates = masks.rates;
        let positions: Vec<_> = sequences.lengths().flat_map(|length| 0..length).collect();
        let rows = self.rows(sequences, &positions);
        let (x, _) = self.enter(embeddings, &positions)?;
        let mut x = masks.drop_rows(&x, sequences, rates.embedding)?;
        let mut before = x.clone();
        for (index, sublayer) in self.sublayers.iter().enumerate() {
            let input = if sublayer.place_read(index) == index {
                &x
            } else {
                &before
            };
            let y = sublayer.forward_dropped(&x, input, (&rows, memory), masks)?;
            before = std::mem::replace(&mut x, y);
        }
        if let Some(norm) = &self.final_norm {
            x = norm.forward(&x)?.0;
        }
        masks.drop_rows(&x, sequences, rates.output)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::super::random::{random_llama, random_marian};
    use super::*;

    const TARGETS: [&[u32]; 2] = [&[0, 6, 8, 2], &[0, 3, 1, 1, 9, 4]];
    const EVERYWHERE: DropoutRates = DropoutRates {
        embedding: 0.1,
        residual: 0.1,
        attention: 0.1,
        activation: 0.1,
        output: 0.1,
    };

    fn inputs(model: &Transformer, targets: &[&[u32]]) -> Inputs {
        let source = || model.embed(targets.iter().copied()).unwrap();
        Inputs {
            source: model.has_encoder().then(source),
            target: source(),
        }
    }

    fn streams(ids: &[i64]) -> Vec<Random> {
        ids.iter().map(|&id| Random::new(7, id, "test")).collect()
    }

    #[test]
    fn without_dropout_it_is_the_usual_pass() {
        for model in [random_llama(DType::F64), random_marian(DType::F64)] {
            let inputs = inputs(&model, &TARGETS);
            let none = DropoutRates::default();
            let dropped = model
                .forward_dropped(&inputs, none, &mut streams(&[1, 2]))
                .unwrap();
            let usual = model.forward(&inputs).unwrap().hidden;
            let difference = (dropped - usual).unwrap().abs().unwrap();
            assert!(difference.max_all().unwrap().to_scalar::<f64>().unwrap() < 1e-12);
        }
    }

    #[test]
    fn masks_do_not_depend_on_the_batch() {
        for model in [random_llama(DType::F32), random_marian(DType::F32)] {
            let together = model
                .forward_dropped(&inputs(&model, &TARGETS), EVERYWHERE, &mut streams(&[1, 2]))
                .unwrap();
            let alone = inputs(&model, &TARGETS[1..]);
            let alone = model
                .forward_dropped(&alone, EVERYWHERE, &mut streams(&[2]))
                .unwrap();
            let own = together.narrow(0, TARGETS[0].len(), TARGETS[1].len());
            assert_eq!(
                own.unwrap().to_vec2::<f32>().unwrap(),
                alone.to_vec2::<f32>().unwrap()
            );
        }
    }

    #[test]
    fn every_rate_reaches_the_output() {
        let model = random_marian(DType::F32);
        let inputs = inputs(&model, &TARGETS);
        let run = |rates| {
            let dropped = model.forward_dropped(&inputs, rates, &mut streams(&[1, 2]));
            dropped.unwrap().to_vec2::<f32>().unwrap()
        };
        let none = DropoutRates::default();
        for rates in [
            DropoutRates {
                embedding: 0.5,
                ..none
            },
            DropoutRates {
                residual: 0.5,
                ..none
            },
            DropoutRates {
                attention: 0.5,
                ..none
            },
            DropoutRates {
                activation: 0.5,
                ..none
            },
            DropoutRates {
                output: 0.5,
                ..none
            },
        ] {
            assert_ne!(run(rates), run(none), "{rates:?}");
            assert_eq!(run(rates), run(rates), "{rates:?}");
        }
    }

    #[test]
    fn rates_have_the_names_of_their_models() {
        let read = |json: serde_json::Value| {
            let fields = json.as_object().unwrap().clone();
            DropoutRates::read(&ConfigFile::of_fields("config.json".as_ref(), fields))
        };
        let marian = serde_json::json!({
            "is_encoder_decoder": true, "dropout": 0.1, "attention_dropout": 0.0,
        });
        let expected = DropoutRates {
            embedding: 0.1,
            residual: 0.1,
            ..DropoutRates::default()
        };
        assert_eq!(read(marian).unwrap(), expected);
        let gpt2 = serde_json::json!({"resid_pdrop": 0.2, "embd_pdrop": 0.1, "attn_pdrop": 0.3});
        let expected = DropoutRates {
            embedding: 0.1,
            residual: 0.2,
            attention: 0.3,
            ..DropoutRates::default()
        };
        assert_eq!(read(gpt2).unwrap(), expected);
        assert_eq!(
            read(serde_json::json!({"dropout_rate": 0.1})).unwrap(),
            EVERYWHERE
        );
        let error = read(serde_json::json!({"dropout": 1.0})).unwrap_err();
        assert!(error.to_string().contains("`dropout` is 1"), "{error}");
    }
}
