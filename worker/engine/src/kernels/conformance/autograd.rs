//! candle's own autograd as the oracle: every kernel with a vector–Jacobian product, rebuilt from
//! candle's basic operations and differentiated by candle, in double precision.
//!
//! Finite differences (`model/tests.rs`) find a wrong formula of a whole layer; here each kernel
//! stands alone, and has to agree to the last digits.

use candle_core::{D, DType, Device, Tensor, Var};

use crate::kernels::activation_function::Activation;
use crate::kernels::linear::PackedWeight;
use crate::kernels::norm::Scaling;
use crate::kernels::rotary::{LongRotary, Pairing, RotarySpec};
use crate::kernels::rotary::{Rotation, RowPosition};
use crate::kernels::routing::{Routing, RoutingSpec};

use super::{places, put};
use crate::kernels::{RowIndex, Tensor as Ours, activation, mixture, norm, rows, softcap};

/// What two orders of adding the same numbers may differ by.
const ROUNDING: f64 = 1e-12;

/// Returns reproducible numbers around zero.
pub(super) fn noise<const N: usize>(shape: [usize; N], seed: u64) -> Tensor {
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
pub(super) fn pulled_back(y: &Tensor, dy: &Tensor, x: &Var) -> Tensor {
    let along = (y * dy).unwrap().sum_all().unwrap();
    along.backward().unwrap().get(x).unwrap().clone()
}

pub(super) fn theirs(x: &Ours) -> Tensor {
    x.to_candle().unwrap()
}

pub(super) fn assert_equal(ours: &Ours, expected: &Tensor, what: &str) {
    let ours = theirs(ours).reshape(expected.shape()).unwrap();
    let difference = (ours - expected).unwrap().abs().unwrap();
    let largest = difference.flatten_all().unwrap().max(0).unwrap();
    let largest = largest.to_scalar::<f64>().unwrap();
    assert!(largest < ROUNDING, "{what}: {largest:e}");
    // The largest number skips what is not a number; the sum does not.
    let total = difference.sum_all().unwrap().to_scalar::<f64>().unwrap();
    assert!(total.is_finite(), "{what}: not a number");
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
    for place in places() {
        let ours = |x: &Tensor| put(&place, x);
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
    for place in places() {
        let ours = |x: &Tensor| put(&place, x);
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
}

#[test]
fn gated_activations() {
    for place in places() {
        let ours = |x: &Tensor| put(&place, x);
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
}

pub(super) fn bounded(x: &Tensor, cap: f64) -> Tensor {
    ((x / cap).unwrap().tanh().unwrap() * cap).unwrap()
}

#[test]
fn soft_caps() {
    for place in places() {
        let ours = |x: &Tensor| put(&place, x);
        let x = Var::from_tensor(&noise([3, 7], 9)).unwrap();
        let y = softcap::bound(&ours(&x), 1.3).unwrap();
        assert_equal(&y, &bounded(&x, 1.3), "bound");
        let dy = noise([3, 7], 10);
        let dx = softcap::vjp(&y, &ours(&dy), 1.3).unwrap();
        let expected = pulled_back(&bounded(&x, 1.3), &dy, &x);
        assert_equal(&dx, &expected, "cotangents");
    }
}

#[test]
fn rotations() {
    for place in places() {
        let ours = |x: &Tensor| put(&place, x);
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
            let rotation = Rotation::new(&spec, 5, DType::F64, &place).unwrap();
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
}

#[test]
fn linear_maps() {
    for place in places() {
        let ours = |x: &Tensor| put(&place, x);
        let weight = noise([9, 5], 13);
        let packed = PackedWeight::transposed(&ours(&weight), DType::F64).unwrap();
        let x = Var::from_tensor(&noise([4, 5], 14)).unwrap();
        let y = x.matmul(&weight.t().unwrap()).unwrap();
        assert_equal(&packed.product(&ours(&x), None).unwrap(), &y, "product");
        let dy = noise([4, 9], 15);
        let dx = packed.repacked().product(&ours(&dy), None).unwrap();
        assert_equal(&dx, &pulled_back(&y, &dy, &x), "cotangents");
    }
}

#[test]
fn choices_of_experts() {
    for place in places() {
        let ours = |x: &Tensor| put(&place, x);
        let scores = Var::from_tensor(&noise([4, 5], 16)).unwrap();
        let routing = Routing {
            spec: RoutingSpec::softmax(true),
            num_chosen: 2,
            correction: None,
        };
        let choice = mixture::choose(&ours(&scores), &routing).unwrap();
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
}

pub(super) fn softmax(scores: &Tensor) -> Tensor {
    let largest = scores.max_keepdim(D::Minus1).unwrap().detach();
    let powers = scores.broadcast_sub(&largest).unwrap().exp().unwrap();
    let sum = powers.sum_keepdim(D::Minus1).unwrap();
    powers.broadcast_div(&sum).unwrap()
}

#[test]
fn gathered_rows_are_added_where_they_came_from() {
    for place in places() {
        let ours = |x: &Tensor| put(&place, x);
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
}
