//! Every vector–Jacobian product against finite differences, in double precision.
//!
//! For each model a weighted sum of logits is moved along random directions of source and of target
//! embeddings; its slope must be the inner product of gradient and direction. A new architecture is
//! covered by its model alone.

use candle_core::{DType, Device, Tensor};
use whence_engine::model::{self, Embedded, ExplainedToken, Inputs, Transformer, Wanted};

use crate::measure::inputs;
use crate::reference::Reference;

/// Central differences err by its square and by rounding over it: near 1e-10 each.
const STEP: f64 = 1e-5;
/// Relative to the length of the gradient.
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

/// What is differentiated: the sum of the logits of some rows, each times its weight.
struct Sum {
    explained: Vec<ExplainedToken>,
    /// `[explained tokens, vocabulary]`
    weights: Tensor,
}

impl Sum {
    /// Takes the first, the explained and the last row of every sequence.
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
        dot(&model.logits(&hidden).unwrap(), &self.weights)
    }

    /// Returns the gradients at source and target, summed over the explained tokens. `[rows, width]`
    fn gradients(&self, model: &Transformer, inputs: &Inputs) -> [Option<Tensor>; 2] {
        let trace = model.forward(inputs).unwrap();
        let hidden = model.hidden(&trace, &self.explained).unwrap();
        let logits = model.logits(&hidden).unwrap();
        let dhidden = model.logits_vjp(&logits, &self.weights).unwrap();
        let of_seeds = model
            .vjp(&trace, &self.explained, dhidden, Wanted::All)
            .unwrap();
        let source = inputs.source.as_ref().zip(of_seeds.source);
        let source = source.map(|(source, rows)| self.summed(source, &rows, |_, len| len));
        let target = of_seeds
            .target
            .map(|rows| self.summed(&inputs.target, &rows, |token, _| token.position + 1));
        [source, target]
    }

    /// Adds the rows each token has, `len` of its sequence, to those of the whole batch.
    fn summed(
        &self,
        embedded: &Embedded,
        of_seeds: &Tensor,
        len: impl Fn(&ExplainedToken, usize) -> usize,
    ) -> Tensor {
        let mut sum = embedded.rows.zeros_like().unwrap();
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
    Embedded {
        rows: (&embedded.rows + (direction * step).unwrap()).unwrap(),
        sequences: embedded.sequences.clone(),
    }
}

/// Returns the largest difference of slope and inner product over the gradient's length times the
/// direction's.
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
        // Not a number is too much, too.
        if error.is_nan() || error > TOLERANCE {
            failures.push(format!("{}: {error:e}", reference.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
