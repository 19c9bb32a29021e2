//! candle's own autograd as the oracle: every kernel with a vector–Jacobian product, rebuilt from
//! candle's basic operations and differentiated by candle, in double precision.
//!
//! Finite differences (`model/tests.rs`) find a wrong formula of a whole layer; here each kernel
//! stands alone, and has to agree to the last digits.

use std::ops::Range;

use candle_core::{D, DType, Device, Tensor, Var};

use super::activation_function::Activation;
use super::attention::{
    Attention as AttentionToCompute, AttentionTrace, Columns, ExplainedQueries, Heads, Projections,
    forward, lay_out, vjp,
};
use super::linear::PackedWeight;
use super::norm::Scaling;
use super::rotary::{LongRotary, Pairing, RotarySpec};
use super::rotary::{Rotation, RowPosition};
use crate::stop::Stop;

use super::{RowIndex, Tensor as Ours, activation, mixture, norm, rows, softcap};

/// What two orders of adding the same numbers may differ by.
const ROUNDING: f64 = 1e-12;

/// Returns reproducible numbers around zero.
fn noise<const N: usize>(shape: [usize; N], seed: u64) -> Tensor {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5) * 3.0
    };
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| next()).collect();
    Tensor::from_vec(values, shape.as_slice(), &Device::Cpu).unwrap()
}

/// Returns what candle makes of the cotangents `dy` of `y` with respect to `x`.
fn pulled_back(y: &Tensor, dy: &Tensor, x: &Var) -> Tensor {
    let along = (y * dy).unwrap().sum_all().unwrap();
    along.backward().unwrap().get(x).unwrap().clone()
}

/// Returns a tensor of candle as one of the kernels.
fn ours(x: &Tensor) -> Ours {
    x.detach().into()
}

fn theirs(x: &Ours) -> Tensor {
    x.to_candle().unwrap()
}

fn assert_equal(ours: &Ours, expected: &Tensor, what: &str) {
    let ours = theirs(ours).reshape(expected.shape()).unwrap();
    let difference = (ours - expected).unwrap().abs().unwrap();
    let largest = difference.flatten_all().unwrap().max(0).unwrap();
    let largest = largest.to_scalar::<f64>().unwrap();
    assert!(largest < ROUNDING, "{what}: {largest:e}");
}

fn norm_of(x: &Tensor, scaling: &Scaling) -> Tensor {
    let (rows, width) = x.dims2().unwrap();
    let x = x.reshape((rows, width / scaling.group, scaling.group));
    let mut x = x.unwrap();
    if scaling.is_centered {
        x = x
            .broadcast_sub(&x.mean_keepdim(D::Minus1).unwrap())
            .unwrap();
    }
    let square = x.sqr().unwrap().mean_keepdim(D::Minus1).unwrap();
    let deviation = (square + scaling.epsilon).unwrap().sqrt().unwrap();
    let unit = x.broadcast_div(&deviation).unwrap();
    let unit = unit.reshape((rows, width)).unwrap();
    let scaled = unit.broadcast_mul(&theirs(&scaling.weight)).unwrap();
    match &scaling.bias {
        Some(bias) => scaled.broadcast_add(&theirs(bias)).unwrap(),
        None => scaled,
    }
}

#[test]
fn norms() {
    for (is_centered, group) in [(false, 8), (true, 8), (false, 4), (true, 2)] {
        let scaling = Scaling {
            weight: ours(&noise([8], 1)),
            bias: is_centered.then(|| ours(&noise([8], 2))),
            group,
            is_centered,
            epsilon: 1e-5,
        };
        let what = format!("centered {is_centered}, groups of {group}");
        let x = Var::from_tensor(&noise([5, 8], 3)).unwrap();
        let expected = norm_of(&x, &scaling);
        let (y, saved) = norm::forward(&ours(&x), &scaling).unwrap();
        assert_equal(&y, &expected, &what);

        // Cotangent rows in another order, and one forward row with two.
        let (dy, saved_rows) = (noise([3, 8], 4), RowIndex::from(vec![4, 0, 4]));
        let dx = norm::vjp(&ours(&dy), &scaling, &saved, &saved_rows).unwrap();
        for (index, &row) in saved_rows.iter().enumerate() {
            let dy = dy.narrow(0, index, 1).unwrap();
            let of_row = expected.narrow(0, row, 1).unwrap();
            let expected = pulled_back(&of_row, &dy, &x);
            let expected = expected.narrow(0, row, 1).unwrap();
            assert_equal(&dx.narrow(0, index, 1).unwrap(), &expected, &what);
        }
    }
}

fn sigmoid(x: &Tensor) -> Tensor {
    let growth = x.neg().unwrap().exp().unwrap();
    (growth + 1.0).unwrap().recip().unwrap()
}

/// `x/2 · (1 + tanh(factor · (x + 0.044715 x³)))`
fn tanh_gelu(x: &Tensor, factor: f64) -> Tensor {
    let cube = (x.sqr().unwrap() * x).unwrap();
    let inner = ((x + (cube * 0.044_715).unwrap()).unwrap() * factor).unwrap();
    ((inner.tanh().unwrap() + 1.0).unwrap() * (x * 0.5).unwrap()).unwrap()
}

fn softplus(x: &Tensor) -> Tensor {
    (x.exp().unwrap() + 1.0).unwrap().log().unwrap()
}

/// `x · Φ(x)`. candle's own has a derivative of six digits.
fn erf_gelu(x: &Tensor) -> Tensor {
    let error = (x / std::f64::consts::SQRT_2).unwrap().erf().unwrap();
    ((error + 1.0).unwrap() * (x * 0.5).unwrap()).unwrap()
}

#[expect(
    clippy::approx_constant,
    reason = "a constant of the activation, which cuts it there"
)]
fn activated(x: &Tensor, activation: Activation) -> Tensor {
    match activation {
        Activation::Silu => (x * sigmoid(x)).unwrap(),
        Activation::Relu => x.relu().unwrap(),
        Activation::SquaredRelu => x.relu().unwrap().sqr().unwrap(),
        Activation::Gelu => erf_gelu(x),
        Activation::TanhGelu => tanh_gelu(x, (2.0 / std::f64::consts::PI).sqrt()),
        Activation::TruncatedTanhGelu => tanh_gelu(x, 0.797_884_56),
        Activation::QuickGelu => (x * sigmoid(&(x * 1.702).unwrap())).unwrap(),
        Activation::Tanh => x.tanh().unwrap(),
        Activation::Sigmoid => sigmoid(x),
        Activation::Linear => (x * 1.0).unwrap(),
        Activation::Relu6 => x.clamp(0.0, 6.0).unwrap(),
        Activation::LeakyRelu => {
            ((x.relu().unwrap() * 0.99).unwrap() + (x * 0.01).unwrap()).unwrap()
        }
        Activation::HardSwish => {
            let ramp = (x + 3.0).unwrap().clamp(0.0, 6.0).unwrap();
            (x * (ramp / 6.0).unwrap()).unwrap()
        }
        Activation::Mish => (x * softplus(x).tanh().unwrap()).unwrap(),
        Activation::Laplace => {
            let z = ((x - 0.707_107).unwrap() / (0.282_095 * std::f64::consts::SQRT_2)).unwrap();
            ((z.erf().unwrap() + 1.0).unwrap() * 0.5).unwrap()
        }
        Activation::ClippedGelu => erf_gelu(x).minimum(10.0).unwrap(),
        Activation::SqrtSoftplus => softplus(x).sqrt().unwrap(),
    }
}

#[test]
fn plain_activations() {
    for function in Activation::ALL {
        let z = Var::from_tensor(&noise([3, 6], 5)).unwrap();
        let expected = activated(&z, function);
        let (a, slopes) = activation::plain(&ours(&z), function).unwrap();
        assert_equal(&a, &expected, &format!("{function:?}"));
        let da = noise([3, 6], 6);
        let dz = activation::vjp(&ours(&da), &slopes, &(0..3).collect()).unwrap();
        let expected = pulled_back(&expected, &da, &z);
        assert_equal(&dz, &expected, &format!("{function:?}"));
    }
}

#[test]
fn gated_activations() {
    for function in Activation::ALL {
        let z = Var::from_tensor(&noise([3, 12], 7)).unwrap();
        let (gate, up) = (z.narrow(1, 0, 6).unwrap(), z.narrow(1, 6, 6).unwrap());
        let expected = (activated(&gate, function) * up).unwrap();
        let (a, slopes) = activation::gated(&ours(&z), function).unwrap();
        assert_equal(&a, &expected, &format!("{function:?}"));
        let da = noise([3, 6], 8);
        let dz = activation::vjp(&ours(&da), &slopes, &(0..3).collect()).unwrap();
        let expected = pulled_back(&expected, &da, &z);
        assert_equal(&dz, &expected, &format!("{function:?}"));
    }
}

fn bounded(x: &Tensor, cap: f64) -> Tensor {
    ((x / cap).unwrap().tanh().unwrap() * cap).unwrap()
}

#[test]
fn soft_caps() {
    let x = Var::from_tensor(&noise([3, 7], 9)).unwrap();
    let y = softcap::bound(&ours(&x), 1.3).unwrap();
    assert_equal(&y, &bounded(&x, 1.3), "bound");
    let dy = noise([3, 7], 10);
    let dx = softcap::vjp(&y, &ours(&dy), 1.3).unwrap();
    let expected = pulled_back(&bounded(&x, 1.3), &dy, &x);
    assert_equal(&dx, &expected, "cotangents");
}

#[test]
fn rotations() {
    // The last two stand in a long text.
    let standings =
        [(3, 4), (0, 12), (11, 12)].map(|(position, length)| RowPosition { position, length });
    for pairing in [Pairing::Halves, Pairing::Neighbours] {
        let spec = RotarySpec {
            inverse_frequencies: vec![1.0, 0.3],
            pairing,
            magnitude: 1.1,
            long: Some(LongRotary {
                beyond: 4,
                inverse_frequencies: vec![0.7, 0.2],
            }),
        };
        let rotation = Rotation::new(&spec, 5, DType::F64).unwrap();
        let turn = |x: &Tensor| rotation.forward(&ours(x), 2, &standings).unwrap();
        // A linear map is known by what it does to the rows of the identity, and its cotangents by
        // its transpose; that is what candle differentiates here.
        let x = Var::from_tensor(&noise([3, 12], 11)).unwrap();
        let columns: Vec<_> = (0..12)
            .map(|column| {
                let unit = Tensor::eye(12, DType::F64, &Device::Cpu).unwrap();
                let unit = unit.narrow(0, column, 1).unwrap().repeat((3, 1)).unwrap();
                theirs(&turn(&unit))
            })
            .collect();
        // `[row, in, out]`
        let maps = Tensor::stack(&columns, 1).unwrap();
        let y = x.unsqueeze(1).unwrap().matmul(&maps).unwrap();
        let y = y.squeeze(1).unwrap();
        assert_equal(&turn(&x), &y, "a linear map");
        let dy = noise([3, 12], 12);
        let expected = pulled_back(&y, &dy, &x);
        let own = (0..3).collect();
        let dx = rotation.vjp(&ours(&dy), 2, &standings, &own).unwrap();
        assert_equal(&dx, &expected, "cotangents");
        // Cotangent rows in another order.
        let turned_around = RowIndex::from(vec![2, 1, 0]);
        let reversed = |x: &Tensor| rows::gather(&ours(x), &turned_around).unwrap();
        let dx = rotation.vjp(&reversed(&dy), 2, &standings, &turned_around);
        let expected = theirs(&reversed(&expected));
        assert_equal(&dx.unwrap(), &expected, "reversed cotangents");
    }
}

#[test]
fn linear_maps() {
    let weight = noise([9, 5], 13);
    let packed = PackedWeight::transposed(&ours(&weight), DType::F64).unwrap();
    let x = Var::from_tensor(&noise([4, 5], 14)).unwrap();
    let y = x.matmul(&weight.t().unwrap()).unwrap();
    assert_equal(&packed.product(&ours(&x), None).unwrap(), &y, "product");
    let dy = noise([4, 9], 15);
    let dx = packed.repacked().product(&ours(&dy), None).unwrap();
    assert_equal(&dx, &pulled_back(&y, &dy, &x), "cotangents");
}

#[test]
fn choices_of_experts() {
    let scores = Var::from_tensor(&noise([4, 5], 16)).unwrap();
    let choice = mixture::choose(&ours(&scores), 2).unwrap();
    let chosen: Vec<f64> = (0..4)
        .flat_map(|row| (0..5).map(move |expert| (row, expert)))
        .map(|(row, expert)| choice.weights_of(expert, &[row])[0])
        .collect();
    let chosen = Tensor::from_vec(chosen, (4, 5), &Device::Cpu).unwrap();
    // Experts that were not chosen are as good as infinitely bad.
    let excluded = (chosen.eq(0.0).unwrap().to_dtype(DType::F64).unwrap() * -1e9).unwrap();
    let weights = softmax(&(scores.as_tensor() + excluded).unwrap());
    assert_equal(&ours(&chosen), &weights, "weights");
    let dweights = noise([4, 5], 17);
    let values = dweights.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let dscores = choice.vjp(&values, &(0..4).collect(), DType::F64).unwrap();
    let expected = pulled_back(&weights, &dweights, &scores);
    assert_equal(&dscores, &expected, "cotangents");
}

fn softmax(scores: &Tensor) -> Tensor {
    let largest = scores.max_keepdim(D::Minus1).unwrap().detach();
    let powers = scores.broadcast_sub(&largest).unwrap().exp().unwrap();
    let sum = powers.sum_keepdim(D::Minus1).unwrap();
    powers.broadcast_div(&sum).unwrap()
}

/// One sequence's attention from candle's operations, its weights times `mask`,
/// `[heads, queries, keys]`. `[queries, heads · dim]`
fn attended(heads: Heads, [q, k, v]: [&Tensor; 3], mask: &Tensor) -> Tensor {
    let (num_queries, num_keys) = (q.dim(0).unwrap(), k.dim(0).unwrap());
    let hidden: Vec<f64> = (0..num_queries * num_keys)
        .map(|index| {
            let (query, key) = (index / num_keys, index % num_keys);
            let is_late = heads.causal && key > query;
            let is_far = heads.window.is_some_and(|window| key + window < query + 1);
            if is_late || is_far { -1e9 } else { 0.0 }
        })
        .collect();
    let hidden = Tensor::from_vec(hidden, (num_queries, num_keys), &Device::Cpu).unwrap();
    let head = |x: &Tensor, index| x.narrow(1, index * heads.dim, heads.dim).unwrap();
    let mixed: Vec<_> = (0..heads.queries)
        .map(|index| {
            let key_head = index / (heads.queries / heads.keys);
            let (q, k, v) = (head(q, index), head(k, key_head), head(v, key_head));
            let scores = (q.matmul(&k.t().unwrap()).unwrap() * heads.scale).unwrap();
            let scores = heads
                .softcap
                .map_or(scores.clone(), |cap| bounded(&scores, cap));
            let weights = softmax(&(scores + &hidden).unwrap());
            let weights = (weights * mask.get(index).unwrap()).unwrap();
            weights.matmul(&v).unwrap()
        })
        .collect();
    Tensor::cat(&mixed, 1).unwrap()
}

/// Two sequences, and the attention of their queries to their keys.
struct Attention {
    heads: Heads,
    /// Queries, keys and values of all rows.
    inputs: [Var; 3],
    /// Rows of each sequence's queries and keys.
    places: [(Range<usize>, Range<usize>); 2],
    /// Factors of each sequence's weights. `[heads, queries, keys]`
    masks: [Tensor; 2],
    is_masked: bool,
}

impl Attention {
    fn new(heads: Heads, num_queries: [usize; 2], num_keys: [usize; 2], is_masked: bool) -> Self {
        let (width, key_width) = (heads.queries * heads.dim, heads.keys * heads.dim);
        let sums = [num_queries, num_keys].map(|counts| counts.iter().sum::<usize>());
        let shapes = [[sums[0], width], [sums[1], key_width], [sums[1], key_width]];
        let mut seed = 17;
        let inputs = shapes.map(|shape| {
            seed += 1;
            Var::from_tensor(&noise(shape, seed)).unwrap()
        });
        let places = [
            (0..num_queries[0], 0..num_keys[0]),
            (num_queries[0]..sums[0], num_keys[0]..sums[1]),
        ];
        let mask = |sequence: usize| {
            let shape = [heads.queries, num_queries[sequence], num_keys[sequence]];
            if is_masked {
                noise(shape, 23 + sequence as u64)
            } else {
                Tensor::ones(&shape, DType::F64, &Device::Cpu).unwrap()
            }
        };
        Self {
            heads,
            inputs,
            places,
            masks: [mask(0), mask(1)],
            is_masked,
        }
    }

    /// Returns what the kernel makes of it.
    fn by_kernel(&self) -> (Ours, AttentionTrace) {
        let columns = |rows: &Var| Columns {
            rows: ours(rows),
            column: 0,
        };
        let [q, k, v] = &self.inputs;
        let projections = Projections {
            queries: columns(q),
            keys: columns(k),
            values: columns(v),
        };
        let (sequences, _) = lay_out(self.heads, self.places.iter().cloned());
        let (mixed, attended) = forward(AttentionToCompute {
            heads: self.heads,
            projections,
            sequences,
            bias: None,
            stop: &Stop::default(),
        })
        .unwrap();
        if !self.is_masked {
            return (mixed, attended);
        }
        let mask = self.masks.each_ref().map(|m| m.flatten_all().unwrap());
        let mask = Tensor::cat(&mask, 0).unwrap();
        attended.masked(ours(&mask)).unwrap()
    }

    /// Returns what candle makes of one sequence.
    fn by_candle(&self, sequence: usize) -> Tensor {
        let (queries, keys) = &self.places[sequence];
        let part = |x: &Var, rows: &Range<usize>| x.narrow(0, rows.start, rows.len()).unwrap();
        let [q, k, v] = &self.inputs;
        let parts = [part(q, queries), part(k, keys), part(v, keys)];
        let parts = [&parts[0], &parts[1], &parts[2]];
        attended(self.heads, parts, &self.masks[sequence])
    }

    /// Returns candle's cotangents of the queries of an explained token, and of the keys and values it sees.
    fn cotangents(&self, token: &ExplainedQueries, dmixed: &Tensor) -> [Tensor; 2] {
        let (queries, keys) = &self.places[token.sequence];
        let (first, count) = (token.positions.start, token.positions.len());
        let of_token = self.by_candle(token.sequence).narrow(0, first, count);
        let of_token = of_token.unwrap();
        let [dq, dk, dv] = self
            .inputs
            .each_ref()
            .map(|x| pulled_back(&of_token, dmixed, x));
        let seen = if self.heads.causal {
            token.positions.end
        } else {
            keys.len()
        };
        let of_keys = Tensor::cat(&[dk, dv], 1).unwrap();
        [
            dq.narrow(0, queries.start + first, count).unwrap(),
            of_keys.narrow(0, keys.start, seen).unwrap(),
        ]
    }
}

fn assert_attention(heads: Heads, num_queries: [usize; 2], num_keys: [usize; 2], masked: bool) {
    let what = format!("{heads:?}, masked {masked}");
    let attention = Attention::new(heads, num_queries, num_keys, masked);
    let (mixed, saved) = attention.by_kernel();
    let expected = Tensor::cat(&[attention.by_candle(0), attention.by_candle(1)], 0).unwrap();
    assert_equal(&mixed, &expected, &what);

    let explained = [(1, 0..num_queries[1]), (0, 0..1), (0, 1..num_queries[0])];
    let explained = explained.map(|(sequence, positions)| ExplainedQueries {
        sequence,
        positions,
    });
    let num_rows = explained.iter().map(|token| token.positions.len()).sum();
    let dmixed = noise([num_rows, heads.queries * heads.dim], 21);
    let pulled = vjp(&saved, &explained, &ours(&dmixed)).unwrap();
    let (mut query, mut key) = (0, 0);
    for token in &explained {
        let count = token.positions.len();
        let dmixed = dmixed.narrow(0, query, count).unwrap();
        let [of_queries, of_keys] = attention.cotangents(token, &dmixed);
        let seen = of_keys.dim(0).unwrap();
        let own = pulled.queries.narrow(0, query, count).unwrap();
        assert_equal(&own, &of_queries, &what);
        let own = pulled.keys_and_values.narrow(0, key, seen).unwrap();
        assert_equal(&own, &of_keys, &what);
        (query, key) = (query + count, key + seen);
    }
}

#[test]
fn attentions() {
    let heads = Heads {
        queries: 4,
        keys: 2,
        dim: 3,
        scale: 0.6,
        causal: true,
        window: None,
        softcap: None,
    };
    let capped = Heads {
        window: Some(2),
        softcap: Some(1.5),
        ..heads
    };
    let crossed = Heads {
        keys: 4,
        causal: false,
        ..heads
    };
    for masked in [false, true] {
        assert_attention(heads, [4, 6], [4, 6], masked);
        assert_attention(capped, [4, 6], [4, 6], masked);
        assert_attention(crossed, [3, 5], [7, 2], masked);
    }
}

#[test]
fn gathered_rows_are_added_where_they_came_from() {
    let x = Var::from_tensor(&noise([4, 3], 22)).unwrap();
    let indices = RowIndex::from(vec![2, 0, 3]);
    let places = Tensor::new(&[2_u32, 0, 3], &Device::Cpu).unwrap();
    let y = x.index_select(&places, 0).unwrap();
    assert_equal(&rows::gather(&ours(&x), &indices).unwrap(), &y, "gathered");
    let dy = noise([3, 3], 23);
    let zeros = Tensor::zeros((4, 3), DType::F64, &Device::Cpu).unwrap();
    let dx = rows::add_at(&ours(&zeros), &ours(&dy), &indices).unwrap();
    assert_equal(&dx, &pulled_back(&y, &dy, &x), "cotangents");
}
