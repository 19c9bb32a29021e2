//! The hooked transformer: one implementation, described by data.
//!
//! `spec` says what a model is made of; `architectures` read it from `config.json`; `layers` are the
//! pieces, `stack`, `head` and `transformer` put them together; `files` and `weights` read what is
//! on disk. A forward pass returns everything its backward pass needs, and a backward
//! pass carries the seeds of all explained tokens at once.
//!
//! Letters of tensor shapes, the same everywhere: *rows* are token positions of all sequences of a
//! batch, one after another; *seed rows* those of all seeds; *hidden* the width of the residual
//! stream; *inner* that of a feed-forward network; *heads · dim* that of an attention.

pub mod architectures;
pub mod config;
pub mod files;
pub mod spec;
pub mod weights;

pub mod dropout;
mod embedding;
mod head;
pub mod hooks;
mod layers;
pub mod sequences;
pub mod stack;
pub mod transformer;
pub(crate) mod zeroing;

use std::path::Path;

use candle_core::DType;
use tracing::info;

use crate::{Error, memory};
pub use architectures::{ARCHITECTURES, Architecture};
pub use files::ModelFiles;
pub use transformer::{Embedded, Gradients, Inputs, Seed, Trace, Transformer, Wanted};

/// Loads the model at `path`, a folder or a GGUF file, to compute in `dtype`.
///
/// Fails if its `model_type` is not in [`ARCHITECTURES`], or a file is missing or damaged.
pub fn load(path: &Path, dtype: DType) -> Result<Transformer, Error> {
    load_files(&ModelFiles::open(path)?, dtype, None)
}

/// Loads the model of `files`, to compute in `dtype`. Where its weights would not fit into `free`
/// bytes in that precision, those that are stored as halves stay halves, and are widened where they
/// are used: the numbers are the same, a pass takes a little longer.
///
/// Fails as [`load`] does.
pub fn load_files(
    files: &ModelFiles,
    dtype: DType,
    free: Option<u64>,
) -> Result<Transformer, Error> {
    let spec = architectures::spec(&files.config()?)?;
    let checkpoint = files.checkpoint(dtype)?;
    let (numbers, halves) = checkpoint.numbers();
    let needed = memory::weight_bytes(numbers, dtype);
    if halves > 0 && free.is_some_and(|free| needed > free) {
        info!(
            path = %files.path().display(),
            needed,
            free,
            numbers,
            halves,
            "keeping the weights in the half precision they are stored in"
        );
        return Transformer::load(spec, &checkpoint.keeping_halves());
    }
    Transformer::load(spec, &checkpoint)
}

#[cfg(test)]
pub(crate) mod random;

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::random::{random_llama, random_marian};
    use super::*;
    use crate::kernels::rows;

    const SOURCES: [&[u32]; 2] = [&[1, 4, 2, 9, 3], &[7, 5, 3]];
    const TARGETS: [&[u32]; 2] = [&[0, 6, 8, 2], &[0, 3, 1, 1, 9, 4]];

    fn inputs(model: &Transformer) -> Inputs {
        let source = model
            .has_encoder()
            .then(|| model.embed(SOURCES.into_iter()).unwrap());
        Inputs {
            source,
            target: model.embed(TARGETS.into_iter()).unwrap(),
        }
    }

    /// A scalar of the outputs: the logits of one row, weighted.
    fn scalar(model: &Transformer, inputs: &Inputs, seed: &Seed, weights: &Tensor) -> f64 {
        let trace = model.forward(inputs).unwrap();
        let logits = model
            .logits(&model.hidden(&trace, std::slice::from_ref(seed)).unwrap())
            .unwrap();
        (logits * weights)
            .unwrap()
            .sum_all()
            .unwrap()
            .to_scalar::<f64>()
            .unwrap()
    }

    /// Returns the slope of `scalar` along every entry of the rows that `with` puts into the inputs.
    fn slopes(rows: &Tensor, scalar: impl Fn(Tensor) -> f64) -> Vec<f64> {
        const STEP: f64 = 1e-5;
        let (values, shape) = (
            rows.flatten_all().unwrap().to_vec1::<f64>().unwrap(),
            rows.shape().clone(),
        );
        let at = |index: usize, offset: f64| {
            let mut moved = values.clone();
            moved[index] += offset;
            scalar(Tensor::from_vec(moved, shape.clone(), &Device::Cpu).unwrap())
        };
        (0..values.len())
            .map(|index| (at(index, STEP) - at(index, -STEP)) / (2.0 * STEP))
            .collect()
    }

    fn assert_gradients_are_slopes(model: &Transformer) {
        let inputs = inputs(model);
        let vocabulary = model.spec().vocabulary;
        let weights: Vec<f64> = (0..vocabulary)
            .map(|i| ((i * 7 + 3) as f64).sin())
            .collect();
        let weights = Tensor::from_vec(weights, (1, vocabulary), &Device::Cpu).unwrap();
        let seeds = [
            Seed {
                sequence: 1,
                position: 4,
            },
            Seed {
                sequence: 0,
                position: 0,
            },
            Seed {
                sequence: 1,
                position: 1,
            },
        ];
        let trace = model.forward(&inputs).unwrap();
        let logits = model
            .logits(&model.hidden(&trace, &seeds).unwrap())
            .unwrap();
        let weights_of_all = Tensor::cat(&[&weights, &weights, &weights], 0).unwrap();
        let together = model.logits_vjp(&logits, &weights_of_all).unwrap();
        let gradients = model.vjp(&trace, &seeds, together, Wanted::All).unwrap();
        let (mut target_row, mut source_row) = (0, 0);
        for seed in &seeds {
            let (of_target, of_source) = slopes_of(model, &inputs, seed, &weights);
            let first = inputs.target.sequences.rows(seed.sequence).start;
            let len = seed.position + 1;
            let gradient = gradients.target.as_ref().unwrap();
            assert_rows(gradient, target_row, &of_target, first, len);
            target_row += len;
            if let (Some(source), Some(gradient)) = (&inputs.source, &gradients.source) {
                let own = source.sequences.rows(seed.sequence);
                assert_rows(gradient, source_row, &of_source, own.start, own.len());
                source_row += own.len();
            }
        }
    }

    /// Returns the slopes of a seed's scalar along the entries of target and source; none of a
    /// source that is not there.
    fn slopes_of(
        model: &Transformer,
        inputs: &Inputs,
        seed: &Seed,
        weights: &Tensor,
    ) -> (Vec<f64>, Vec<f64>) {
        let Inputs { source, target } = inputs;
        let moved = |embedded: &Embedded, rows: Tensor| Embedded {
            rows,
            sequences: embedded.sequences.clone(),
        };
        let of_target = slopes(&target.rows, |rows| {
            let inputs = Inputs {
                source: source.clone(),
                target: moved(target, rows),
            };
            scalar(model, &inputs, seed, weights)
        });
        let Some(source) = source else {
            return (of_target, Vec::new());
        };
        let of_source = slopes(&source.rows, |rows| {
            let inputs = Inputs {
                source: Some(moved(source, rows)),
                target: target.clone(),
            };
            scalar(model, &inputs, seed, weights)
        });
        (of_target, of_source)
    }

    fn assert_rows(gradient: &Tensor, row: usize, expected: &[f64], first: usize, len: usize) {
        let (_, hidden) = gradient.dims2().unwrap();
        let gradient = gradient
            .narrow(0, row, len)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f64>()
            .unwrap();
        let largest = expected
            .iter()
            .fold(0.0, |largest: f64, v| largest.max(v.abs()));
        for (index, (gradient, expected)) in
            gradient.iter().zip(&expected[first * hidden..]).enumerate()
        {
            assert!(
                (gradient - expected).abs() < 1e-7 * largest,
                "entry {index}: {gradient}, slope {expected}"
            );
        }
        // Rows the seed cannot see have no slope.
        assert!(
            expected[..first * hidden]
                .iter()
                .all(|slope| slope.abs() < 1e-9)
        );
        assert!(
            expected[(first + len) * hidden..]
                .iter()
                .all(|slope| slope.abs() < 1e-9)
        );
    }

    #[test]
    fn llama_gradients_are_slopes() {
        assert_gradients_are_slopes(&random_llama(DType::F64));
    }

    #[test]
    fn marian_gradients_are_slopes() {
        assert_gradients_are_slopes(&random_marian(DType::F64));
    }

    #[test]
    fn source_gradients_alone_are_those_of_all() {
        let model = random_marian(DType::F64);
        let (inputs, seed) = (
            inputs(&model),
            [Seed {
                sequence: 1,
                position: 3,
            }],
        );
        let trace = model.forward(&inputs).unwrap();
        let dhidden = Tensor::ones((1, model.spec().hidden), DType::F64, &Device::Cpu).unwrap();
        let all = model
            .vjp(&trace, &seed, dhidden.clone(), Wanted::All)
            .unwrap()
            .source
            .unwrap();
        let alone = model.vjp(&trace, &seed, dhidden, Wanted::Source).unwrap();
        assert!(alone.target.is_none());
        assert_eq!(
            alone.source.unwrap().to_vec2::<f64>().unwrap(),
            all.to_vec2::<f64>().unwrap()
        );
    }

    #[test]
    fn an_example_has_the_same_bits_in_every_batch() {
        for model in [random_llama(DType::F32), random_marian(DType::F32)] {
            let together = model.forward(&inputs(&model)).unwrap();
            let alone = Inputs {
                source: model
                    .has_encoder()
                    .then(|| model.embed([SOURCES[1]].into_iter()).unwrap()),
                target: model.embed([TARGETS[1]].into_iter()).unwrap(),
            };
            let alone = model.forward(&alone).unwrap();
            let hidden = |trace: &Trace, sequence: usize| {
                let seeds: Vec<_> = (0..TARGETS[1].len())
                    .map(|position| Seed { sequence, position })
                    .collect();
                model.hidden(trace, &seeds).unwrap()
            };
            let (in_batch, by_itself) = (hidden(&together, 1), hidden(&alone, 0));
            assert_eq!(
                in_batch.to_vec2::<f32>().unwrap(),
                by_itself.to_vec2::<f32>().unwrap()
            );
            let gradient = |trace: &Trace, sequence: usize, others: &[Seed]| {
                let mut seeds = others.to_vec();
                seeds.push(Seed {
                    sequence,
                    position: 3,
                });
                let dhidden =
                    Tensor::ones((seeds.len(), model.spec().hidden), DType::F32, &Device::Cpu)
                        .unwrap();
                let rows = model
                    .vjp(trace, &seeds, dhidden, Wanted::All)
                    .unwrap()
                    .target
                    .unwrap();
                rows.narrow(0, rows.dim(0).unwrap() - 4, 4)
                    .unwrap()
                    .to_vec2::<f32>()
                    .unwrap()
            };
            let others = [
                Seed {
                    sequence: 0,
                    position: 2,
                },
                Seed {
                    sequence: 1,
                    position: 5,
                },
            ];
            assert_eq!(gradient(&together, 1, &others), gradient(&alone, 0, &[]));
        }
    }

    #[test]
    fn continuing_a_sequence_gives_what_running_it_whole_gives() {
        for model in [random_llama(DType::F64), random_marian(DType::F64)] {
            let whole = model.forward(&inputs(&model)).unwrap();
            let cut = |len: usize| {
                model
                    .embed(TARGETS.into_iter().map(|ids| &ids[..len]))
                    .unwrap()
            };
            let start = Inputs {
                source: inputs(&model).source,
                target: cut(2),
            };
            let mut trace = model.forward(&start).unwrap();
            trace.keep(&[1]);
            for position in 2..TARGETS[1].len() {
                let next = model
                    .embed([&TARGETS[1][position..=position]].into_iter())
                    .unwrap();
                trace = model.forward_on(&next, trace).unwrap();
                let continued = model
                    .hidden(
                        &trace,
                        &[Seed {
                            sequence: 0,
                            position: 0,
                        }],
                    )
                    .unwrap();
                let expected = model
                    .hidden(
                        &whole,
                        &[Seed {
                            sequence: 1,
                            position,
                        }],
                    )
                    .unwrap();
                let difference = rows::add_scaled(Some(&continued), &expected, -1.0).unwrap();
                let difference = difference
                    .abs()
                    .unwrap()
                    .max_all()
                    .unwrap()
                    .to_scalar::<f64>()
                    .unwrap();
                assert!(difference < 1e-12, "position {position}: {difference}");
            }
        }
    }
}
