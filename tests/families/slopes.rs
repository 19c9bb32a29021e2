//! Compares every vector–Jacobian product with finite differences, in double precision.
//!
//! For each model, the embeddings of source or target are moved in random directions. The slope of
//! a weighted sum of logits must be the inner product of its gradient and the direction. A new
//! architecture is covered as soon as its model exists.

use candle_core::{DType, Device, Tensor};
use whence_engine::model::{self, Embedded, ExplainedToken, Inputs, Transformer, Wanted};

use crate::measure::inputs;
use crate::reference::Reference;

/// Step of the central differences. Their error is about its square plus the rounding error divided
/// by it; with this value both are near 1e-10.
const STEP: f64 = 1e-5;
/// Tolerance, relative to the length of the gradient times that of the direction.
const TOLERANCE: f64 = 1e-6;
/// Directions tried on each side.
const DIRECTIONS: u64 = 3;

/// Returns reproducible noise around 0. `[rows, columns]`
fn noise(shape: (usize, usize), seed: u64) -> Tensor {
    let mut state = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    };
    let values: Vec<_> = (0..shape.0 * shape.1).map(|_| next()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn dot(a: &Tensor, b: &Tensor) -> f64 {
    let product = (a * b).unwrap().sum_all().unwrap();
    product.to_scalar().unwrap()
}

/// The function that is differentiated: a weighted sum of the logits of some rows.
struct Sum {
    explained: Vec<ExplainedToken>,
    /// `[explained tokens, vocabulary]`
    weights: Tensor,
}

impl Sum {
    /// Makes the sum over the first, the explained and the last row of every sequence.
    fn of(reference: &Reference, vocabulary: usize) -> Self {
        let sequences = reference.sequences.iter().enumerate();
        let explained: Vec<_> = sequences
            .flat_map(|(sequence, s)| {
                let rows = [0, s.row, s.target.len() - 1];
                rows.map(|position| ExplainedToken { sequence, position })
            })
            .collect();
        Self {
            weights: noise((explained.len(), vocabulary), 0),
            explained,
        }
    }

    fn value(&self, model: &Transformer, inputs: &Inputs) -> f64 {
        let trace = model.forward(inputs).unwrap();
        let hidden = model.hidden(&trace, &self.explained).unwrap();
        let logits = model.logits(&hidden).unwrap();
        dot(&logits.to_candle().unwrap(), &self.weights)
    }

    /// Returns the gradients with respect to the source and target embeddings, summed over the
    /// explained tokens. `[rows, width]` each.
    fn gradients(&self, model: &Transformer, inputs: &Inputs) -> [Option<Tensor>; 2] {
        let trace = model.forward(inputs).unwrap();
        let hidden = model.hidden(&trace, &self.explained).unwrap();
        let logits = model.logits(&hidden).unwrap();
        let weights = self.weights.clone().into();
        let dhidden = model.logits_vjp(&logits, &weights).unwrap();
        let of_seeds = model
            .vjp(&trace, &self.explained, dhidden, Wanted::All)
            .unwrap();
        let candle = |rows: whence_engine::Tensor| rows.to_candle().unwrap();
        let source = inputs.source.as_ref().zip(of_seeds.source.map(candle));
        let source = source.map(|(source, rows)| self.summed(source, &rows, |_, len| len));
        let target = of_seeds
            .target
            .map(candle)
            .map(|rows| self.summed(&inputs.target, &rows, |token, _| token.position + 1));
        [source, target]
    }

    /// Sums gradients that are stored per explained token into the rows of the whole batch. Each
    /// token has the first `len` rows of its sequence.
    fn summed(
        &self,
        embedded: &Embedded,
        of_seeds: &Tensor,
        len: impl Fn(&ExplainedToken, usize) -> usize,
    ) -> Tensor {
        let mut sum = embedded.rows.to_candle().unwrap().zeros_like().unwrap();
        let mut row = 0;
        for token in &self.explained {
            let own = embedded.sequences.rows(token.sequence);
            let len = len(token, own.len());
            let part = of_seeds.narrow(0, row, len).unwrap();
            row += len;
            let ids: Vec<_> = (own.start..own.start + len).map(|id| id as u32).collect();
            let ids = Tensor::new(ids, &Device::Cpu).unwrap();
            sum = sum.index_add(&ids, &part, 0).unwrap();
        }
        sum
    }
}

fn moved(embedded: &Embedded, direction: &Tensor, step: f64) -> Embedded {
    let rows = embedded.rows.to_candle().unwrap();
    Embedded {
        rows: (rows + (direction * step).unwrap()).unwrap().into(),
        sequences: embedded.sequences.clone(),
    }
}

/// Returns the largest difference between slope and inner product, relative to the length of the
/// gradient times that of the direction.
fn error(model: &Transformer, reference: &Reference) -> f64 {
    let inputs = inputs(model, &reference.sequences).unwrap();
    let sum = Sum::of(reference, model.spec().vocabulary);
    let [of_source, of_target] = sum.gradients(model, &inputs);
    let mut worst = 0.0_f64;
    for number in 1..=DIRECTIONS {
        let direction = noise(inputs.target.rows.dims2().unwrap(), number);
        let at = |step| Inputs {
            source: inputs.source.clone(),
            target: moved(&inputs.target, &direction, step),
        };
        let slope = (sum.value(model, &at(STEP)) - sum.value(model, &at(-STEP))) / (2.0 * STEP);
        worst = worst.max(difference(slope, of_target.as_ref().unwrap(), &direction));
        let Some(source) = &inputs.source else {
            continue;
        };
        let direction = noise(source.rows.dims2().unwrap(), number);
        let at = |step| Inputs {
            source: Some(moved(source, &direction, step)),
            target: inputs.target.clone(),
        };
        let slope = (sum.value(model, &at(STEP)) - sum.value(model, &at(-STEP))) / (2.0 * STEP);
        worst = worst.max(difference(slope, of_source.as_ref().unwrap(), &direction));
    }
    worst
}

fn difference(slope: f64, gradient: &Tensor, direction: &Tensor) -> f64 {
    let length = |t: &Tensor| dot(t, t).sqrt();
    let difference = (slope - dot(gradient, direction)).abs();
    difference / (length(gradient) * length(direction))
}

#[test]
fn every_gradient_is_the_slope_along_random_directions() {
    let mut failures = Vec::new();
    for reference in Reference::all() {
        let model = model::load(&reference.folder, DType::F64).unwrap();
        let error = error(&model, &reference);
        // `error > TOLERANCE` is false for NaN, so that is checked separately.
        if error.is_nan() || error > TOLERANCE {
            failures.push(format!("{}: {error:e}", reference.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
