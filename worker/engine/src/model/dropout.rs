//! Passes with dropout: the model as it is trained, for what its uncertainty says.
//!
//! Each place where training drops values draws its own mask; what stays is divided by the share
//! that stays. The rates are those of the model's `config.json`, under the names its authors use.
//! Masks are drawn sequence by sequence from each sequence's own stream, so that they do not depend
//! on the batch, and are kept in the trace for the backward pass. Whole layers, which some models skip in training, are not skipped.

use candle_core::Tensor;

use super::config::ConfigFile;
use super::sequences::Sequences;
use super::{Inputs, Trace, Transformer};
use crate::Error;
use crate::error::Result;
use crate::kernels::attention::AttentionTrace;
use crate::kernels::dropout;
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

/// The masks of one pass, drawn where they are met.
pub(super) struct Masks<'a> {
    pub(super) rates: DropoutRates,
    /// One stream a sequence.
    streams: &'a mut [Random],
}

impl Masks<'_> {
    /// Returns the masks of a pass without dropout: there are none.
    pub(super) fn none() -> Self {
        Self {
            rates: DropoutRates::default(),
            streams: &mut [],
        }
    }

    /// Draws the mask of `rows` where a share `rate` of them is dropped; `None` where nothing is.
    /// `[rows, width]`
    pub(super) fn draw_for_rows(
        &mut self,
        rows: &Tensor,
        sequences: &Sequences,
        rate: f64,
    ) -> Result<Option<Tensor>> {
        if rate == 0.0 {
            return Ok(None);
        }
        let (_, width) = rows.dims2()?;
        let of_sequence = sequences.iter().map(|r| r.start * width..r.end * width);
        dropout::mask(rows, rate, of_sequence, self.streams).map(Some)
    }

    /// Draws the mask of the weights of an attention, laid out as they are; `None` where nothing is
    /// dropped.
    pub(super) fn draw_for_weights(&mut self, attended: &AttentionTrace) -> Result<Option<Tensor>> {
        let rate = self.rates.attention;
        if rate == 0.0 {
            return Ok(None);
        }
        let of_sequence = attended.weights_of_sequences();
        dropout::mask(&attended.weights, rate, of_sequence, self.streams).map(Some)
    }
}

impl Transformer {
    /// Runs the model with dropout over whole sequences, drawing the masks of sequence `i` from
    /// `streams[i]`. The backward pass of the result is that of the model with those masks.
    pub(crate) fn forward_dropped(
        &self,
        inputs: &Inputs,
        rates: DropoutRates,
        streams: &mut [Random],
    ) -> Result<Trace> {
        let mut masks = Masks { rates, streams };
        self.forward_with(inputs, |stack, rows, around, _| {
            stack.forward_observed(rows, around, &mut masks, &mut |_| ())
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::super::random::{random_llama, random_marian};
    use super::super::{Embedded, ExplainedToken, Wanted};
    use super::*;
    use crate::sides::Side;

    const TARGETS: [&[u32]; 2] = [&[0, 6, 8, 2], &[0, 3, 1, 1, 9, 4]];
    const EVERYWHERE: DropoutRates = DropoutRates {
        embedding: 0.1,
        residual: 0.1,
        attention: 0.1,
        activation: 0.1,
        output: 0.1,
    };

    fn inputs(model: &Transformer, targets: &[&[u32]]) -> Inputs {
        let embed = |side| model.embed(side, targets.iter().copied()).unwrap();
        Inputs {
            source: model.has_encoder().then(|| embed(Side::Source)),
            target: embed(Side::Target),
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
                .unwrap()
                .hidden;
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
                .unwrap()
                .hidden;
            let alone = inputs(&model, &TARGETS[1..]);
            let alone = model
                .forward_dropped(&alone, EVERYWHERE, &mut streams(&[2]))
                .unwrap()
                .hidden;
            let own = together.narrow(0, TARGETS[0].len(), TARGETS[1].len());
            assert_eq!(
                own.unwrap().to_vec2::<f32>().unwrap(),
                alone.to_vec2::<f32>().unwrap()
            );
        }
    }

    #[test]
    fn gradients_are_slopes_of_the_model_with_those_masks() {
        const STEP: f64 = 1e-5;
        for model in [random_llama(DType::F64), random_marian(DType::F64)] {
            let inputs = inputs(&model, &TARGETS);
            let run = |inputs: &Inputs| {
                let trace = model.forward_dropped(inputs, EVERYWHERE, &mut streams(&[1, 2]));
                trace.unwrap()
            };
            let token = ExplainedToken {
                sequence: 1,
                position: TARGETS[1].len() - 1,
            };
            let explained = std::slice::from_ref(&token);
            let weights: Vec<_> = (0..model.spec().hidden).map(|i| (i as f64).sin()).collect();
            let weights = Tensor::new(weights, &candle_core::Device::Cpu).unwrap();
            let weights = weights.unsqueeze(0).unwrap();
            let trace = run(&inputs);
            let gradients = model
                .vjp(&trace, explained, weights.clone(), Wanted::All)
                .unwrap();
            let assert_slopes =
                |rows: &Embedded, found: Tensor, moved: &dyn Fn(Embedded) -> Inputs| {
                    let found: Vec<f64> = found.flatten_all().unwrap().to_vec1().unwrap();
                    let flat: Vec<f64> = rows.rows.flatten_all().unwrap().to_vec1().unwrap();
                    let first = flat.len() - found.len();
                    for (index, found) in found.iter().enumerate() {
                        let value_at = |offset: f64| {
                            let mut values = flat.clone();
                            values[first + index] += offset;
                            let values =
                                Tensor::from_vec(values, rows.rows.shape(), rows.rows.device());
                            let inputs = moved(Embedded {
                                rows: values.unwrap(),
                                ..rows.clone()
                            });
                            let hidden = model.hidden(&run(&inputs), explained).unwrap();
                            let value = (hidden * &weights).unwrap().sum_all().unwrap();
                            value.to_scalar::<f64>().unwrap()
                        };
                        let slope = (value_at(STEP) - value_at(-STEP)) / (2.0 * STEP);
                        assert!((slope - found).abs() < 1e-7, "{index}: {slope}, {found}");
                    }
                };
            // The second sequence is the last one: its rows are the last of each side.
            let with_target = |target| Inputs {
                target,
                ..inputs.clone()
            };
            assert_slopes(&inputs.target, gradients.target.unwrap(), &with_target);
            if let (Some(source), Some(found)) = (&inputs.source, gradients.source) {
                let with_source = |source| Inputs {
                    source: Some(source),
                    ..inputs.clone()
                };
                assert_slopes(source, found, &with_source);
            }
        }
    }

    #[test]
    fn every_rate_reaches_the_output() {
        let model = random_marian(DType::F32);
        let inputs = inputs(&model, &TARGETS);
        let run = |rates| {
            let dropped = model.forward_dropped(&inputs, rates, &mut streams(&[1, 2]));
            dropped.unwrap().hidden.to_vec2::<f32>().unwrap()
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
            DropoutRates::read(&ConfigFile::from_fields("config.json".as_ref(), fields))
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
