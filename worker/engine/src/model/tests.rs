//! Tests, for every kind of layer and in double precision, that gradients equal numerical slopes
//! and that a continued pass equals a whole one.

use super::random::{random_llama, random_marian};
use super::*;
use crate::kernels::{Tensor, distance, host, rows};
use crate::sides::Side;

const SOURCES: [&[u32]; 2] = [&[1, 4, 2, 9, 3], &[7, 5, 3]];
const TARGETS: [&[u32]; 2] = [&[0, 6, 8, 2], &[0, 3, 1, 1, 9, 4]];

fn inputs(model: &Transformer) -> Inputs {
    let source = model
        .has_encoder()
        .then(|| model.embed(Side::Source, SOURCES.into_iter()).unwrap());
    Inputs {
        source,
        target: model.embed(Side::Target, TARGETS.into_iter()).unwrap(),
    }
}

/// A scalar function of the outputs: the weighted sum of one row's logits.
fn scalar(model: &Transformer, inputs: &Inputs, token: &ExplainedToken, weights: &Tensor) -> f64 {
    let trace = model.forward(inputs).unwrap();
    let logits = model
        .logits(&model.hidden(&trace, std::slice::from_ref(token)).unwrap())
        .unwrap();
    dot(&logits, weights)
}

/// Returns the numerical slope of `scalar` along every entry of `rows`.
fn slopes(rows: &Tensor, scalar: impl Fn(Tensor) -> f64) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let (values, shape) = (host::download(rows).unwrap(), rows.shape().clone());
    let at = |index: usize, offset: f64| {
        let mut moved = values.clone();
        moved[index] += offset;
        scalar(host::upload(moved, shape.clone()).unwrap())
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
    let weights = host::upload(weights, (1, vocabulary)).unwrap();
    let explained = [
        ExplainedToken {
            sequence: 1,
            position: 4,
        },
        ExplainedToken {
            sequence: 0,
            position: 0,
        },
        ExplainedToken {
            sequence: 1,
            position: 1,
        },
    ];
    let trace = model.forward(&inputs).unwrap();
    let logits = model
        .logits(&model.hidden(&trace, &explained).unwrap())
        .unwrap();
    let weights_of_all = Tensor::cat(&[&weights, &weights, &weights], 0).unwrap();
    let together = model.logits_vjp(&logits, &weights_of_all).unwrap();
    let gradients = model
        .vjp(&trace, &explained, together, Wanted::All)
        .unwrap();
    let (mut target_row, mut source_row) = (0, 0);
    for token in &explained {
        let (of_target, of_source) = slopes_of(model, &inputs, token, &weights);
        let first = inputs.target.sequences.rows(token.sequence).start;
        let len = token.position + 1;
        let gradient = gradients.target.as_ref().unwrap();
        assert_rows(gradient, target_row, &of_target, first, len);
        target_row += len;
        if let (Some(source), Some(gradient)) = (&inputs.source, &gradients.source) {
            let own = source.sequences.rows(token.sequence);
            assert_rows(gradient, source_row, &of_source, own.start, own.len());
            source_row += own.len();
        }
    }
}

/// Returns the slopes of a token's scalar along the entries of target and source. Those of the
/// source are absent if the model has no encoder.
fn slopes_of(
    model: &Transformer,
    inputs: &Inputs,
    token: &ExplainedToken,
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
        scalar(model, &inputs, token, weights)
    });
    let Some(source) = source else {
        return (of_target, Vec::new());
    };
    let of_source = slopes(&source.rows, |rows| {
        let inputs = Inputs {
            source: Some(moved(source, rows)),
            target: target.clone(),
        };
        scalar(model, &inputs, token, weights)
    });
    (of_target, of_source)
}

fn assert_rows(gradient: &Tensor, row: usize, expected: &[f64], first: usize, len: usize) {
    let (_, hidden) = gradient.dims2().unwrap();
    let gradient = host::download(&gradient.narrow(0, row, len).unwrap()).unwrap();
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
    // Rows that the token cannot see must have slope 0.
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

/// Tiny models of every supported family, one folder each.
const FAMILIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/families/models");

/// Returns `rows` moved by `step` along a fixed direction, and that direction.
fn moved_along(embedded: &Embedded, step: f64) -> (Embedded, Tensor) {
    let (num_rows, hidden) = embedded.rows.dims2().unwrap();
    let direction: Vec<f64> = (0..num_rows * hidden)
        .map(|i| ((i * 13 + 5) as f64).sin())
        .collect();
    let direction = host::upload(direction, (num_rows, hidden)).unwrap();
    let moved = Embedded {
        rows: rows::add_scaled(Some(&embedded.rows), &direction, step).unwrap(),
        sequences: embedded.sequences.clone(),
    };
    (moved, direction)
}

fn dot(a: &Tensor, b: &Tensor) -> f64 {
    host::sum(&rows::multiply(a, b).unwrap()).unwrap()
}

/// Returns the difference between gradient and numerical slope of the token's scalar along a fixed
/// direction, relative to the gradient's length along it.
fn error_along_a_direction(model: &Transformer, token: &ExplainedToken) -> f64 {
    // A small step, because rows of the embedding table are small compared with the direction of
    // sines.
    const STEP: f64 = 1e-6;
    let inputs = inputs(model);
    let vocabulary = model.spec().vocabulary;
    let weights = (0..vocabulary).map(|i| ((i * 7 + 3) as f64).sin());
    let weights = host::upload(weights.collect(), (1, vocabulary)).unwrap();
    let at = |step: f64| {
        let moved = Inputs {
            source: inputs.source.as_ref().map(|own| moved_along(own, step).0),
            target: moved_along(&inputs.target, step).0,
        };
        scalar(model, &moved, token, &weights)
    };
    let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);

    let trace = model.forward(&inputs).unwrap();
    let explained = std::slice::from_ref(token);
    let logits = model
        .logits(&model.hidden(&trace, explained).unwrap())
        .unwrap();
    let cotangents = model.logits_vjp(&logits, &weights).unwrap();
    let gradients = model
        .vjp(&trace, explained, cotangents, Wanted::All)
        .unwrap();
    let along = |embedded: &Embedded, gradient: &Tensor| {
        let (_, direction) = moved_along(embedded, 0.0);
        let first = embedded.sequences.rows(token.sequence).start;
        let direction = direction
            .narrow(0, first, gradient.dim(0).unwrap())
            .unwrap();
        dot(gradient, &direction)
    };
    let of_target = along(&inputs.target, gradients.target.as_ref().unwrap());
    let of_source = (inputs.source.as_ref().zip(gradients.source.as_ref()))
        .map_or(0.0, |(source, gradient)| along(source, gradient));
    let gradient = of_target + of_source;
    (gradient - slope).abs() / (of_target.abs() + of_source.abs()).max(slope.abs())
}

#[test]
fn gradients_of_every_family_are_slopes() {
    let folders = std::fs::read_dir(FAMILIES).unwrap();
    let mut folders: Vec<_> = folders.map(|folder| folder.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() > 30, "{FAMILIES}");
    for folder in folders {
        let model = load(&folder, DType::F64).unwrap();
        for (sequence, position) in [(1, 4), (0, 0), (1, 1)] {
            let error = error_along_a_direction(&model, &ExplainedToken { sequence, position });
            assert!(
                error < 1e-6,
                "{}, position {position}: {error:e}",
                folder.display()
            );
        }
    }
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
    let (inputs, token) = (
        inputs(&model),
        [ExplainedToken {
            sequence: 1,
            position: 3,
        }],
    );
    let trace = model.forward(&inputs).unwrap();
    let dhidden = host::ones((1, model.spec().hidden), DType::F64).unwrap();
    let all = model
        .vjp(&trace, &token, dhidden.clone(), Wanted::All)
        .unwrap()
        .source
        .unwrap();
    let alone = model.vjp(&trace, &token, dhidden, Wanted::Source).unwrap();
    assert!(alone.target.is_none());
    assert_eq!(
        host::download_rows(&alone.source.unwrap()).unwrap(),
        host::download_rows(&all).unwrap()
    );
}

#[test]
fn an_example_has_the_same_bits_in_every_batch() {
    for model in [random_llama(DType::F32), random_marian(DType::F32)] {
        let together = model.forward(&inputs(&model)).unwrap();
        let alone = Inputs {
            source: model
                .has_encoder()
                .then(|| model.embed(Side::Source, [SOURCES[1]].into_iter()).unwrap()),
            target: model.embed(Side::Target, [TARGETS[1]].into_iter()).unwrap(),
        };
        let alone = model.forward(&alone).unwrap();
        let hidden = |trace: &Trace, sequence: usize| {
            let explained: Vec<_> = (0..TARGETS[1].len())
                .map(|position| ExplainedToken { sequence, position })
                .collect();
            model.hidden(trace, &explained).unwrap()
        };
        let (in_batch, by_itself) = (hidden(&together, 1), hidden(&alone, 0));
        assert_eq!(
            host::download_rows(&in_batch).unwrap(),
            host::download_rows(&by_itself).unwrap()
        );
        let gradient = |trace: &Trace, sequence: usize, others: &[ExplainedToken]| {
            let mut explained = others.to_vec();
            explained.push(ExplainedToken {
                sequence,
                position: 3,
            });
            let shape = (explained.len(), model.spec().hidden);
            let dhidden = host::ones(shape, DType::F32).unwrap();
            let rows = model
                .vjp(trace, &explained, dhidden, Wanted::All)
                .unwrap()
                .target
                .unwrap();
            let last = rows.narrow(0, rows.dim(0).unwrap() - 4, 4).unwrap();
            host::download_rows(&last).unwrap()
        };
        let others = [
            ExplainedToken {
                sequence: 0,
                position: 2,
            },
            ExplainedToken {
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
                .embed(Side::Target, TARGETS.into_iter().map(|ids| &ids[..len]))
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
                .embed(Side::Target, [&TARGETS[1][position..=position]].into_iter())
                .unwrap();
            trace = model.forward_on(&next, trace).unwrap();
            let continued = model
                .hidden(
                    &trace,
                    &[ExplainedToken {
                        sequence: 0,
                        position: 0,
                    }],
                )
                .unwrap();
            let expected = model
                .hidden(
                    &whole,
                    &[ExplainedToken {
                        sequence: 1,
                        position,
                    }],
                )
                .unwrap();
            let difference = distance::largest(&continued, &expected).unwrap();
            assert!(difference < 1e-12, "position {position}: {difference}");
        }
    }
}
