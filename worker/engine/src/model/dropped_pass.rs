//! Passes with dropout, which run the model as in training, to estimate its uncertainty.

use super::dropout::{DropoutRates, Masks};
use super::pass::{Inputs, Trace};
use super::transformer::Transformer;
use crate::error::Result;
use crate::random::Random;

impl Transformer {
    /// Runs the model with dropout over whole sequences. The masks of sequence `i` are drawn from
    /// `streams[i]`, and the backward pass of the result uses the same masks.
    pub(crate) fn forward_dropped(
        &self,
        inputs: &Inputs,
        rates: DropoutRates,
        streams: &mut [Random],
    ) -> Result<Trace> {
        let mut masks = Masks::new(rates, streams);
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
    use crate::kernels::{Tensor, distance, host, rows};
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
            assert!(distance::largest(&dropped, &usual).unwrap() < 1e-12);
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
                host::download_rows(&own.unwrap()).unwrap(),
                host::download_rows(&alone).unwrap()
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
            let weights = host::upload(weights, (1, model.spec().hidden)).unwrap();
            let trace = run(&inputs);
            let gradients = model
                .vjp(&trace, explained, weights.clone(), Wanted::All)
                .unwrap();
            let assert_slopes =
                |embedded: &Embedded, found: Tensor, moved: &dyn Fn(Embedded) -> Inputs| {
                    let found = host::download(&found).unwrap();
                    let flat = host::download(&embedded.rows).unwrap();
                    let first = flat.len() - found.len();
                    for (index, found) in found.iter().enumerate() {
                        let value_at = |offset: f64| {
                            let mut values = flat.clone();
                            values[first + index] += offset;
                            let values = host::upload(values, embedded.rows.shape());
                            let inputs = moved(Embedded {
                                rows: values.unwrap(),
                                ..embedded.clone()
                            });
                            let hidden = model.hidden(&run(&inputs), explained).unwrap();
                            host::sum(&rows::multiply(&hidden, &weights).unwrap()).unwrap()
                        };
                        let slope = (value_at(STEP) - value_at(-STEP)) / (2.0 * STEP);
                        assert!((slope - found).abs() < 1e-7, "{index}: {slope}, {found}");
                    }
                };
            // The second sequence comes last, so its rows are the last ones on each side.
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
            host::download_rows(&dropped.unwrap().hidden).unwrap()
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
}
