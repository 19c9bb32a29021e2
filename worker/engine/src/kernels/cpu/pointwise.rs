//! Nonlinearities that are computed number by number: those that are cheap as they stand, and those
//! that models seldom have. The latter go through double precision.

use super::exp::sigmoid;
use super::real::Real;
use crate::kernels::activation_function::Activation;

/// Slope of the leaky `ReLU` below zero.
const LEAK: f64 = 0.01;
/// Center and width of the Laplace activation.
#[expect(clippy::approx_constant, reason = "transformers writes no more digits")]
const LAPLACE: (f64, f64) = (0.707_107, 0.282_095);
/// Largest value of the clipped GELU.
const GELU_LIMIT: f64 = 10.0;

/// Returns `act(z)`.
pub(super) fn value<T: Real>(activation: Activation, z: T) -> T {
    let positive = if z > T::zero() { z } else { T::zero() };
    match activation {
        Activation::Relu => positive,
        Activation::SquaredRelu => positive * positive,
        Activation::Tanh => T::tanh(z),
        Activation::Sigmoid => sigmoid_of(z),
        _ => T::from_f64(value_in_double(activation, z.to_f64())),
    }
}

/// Returns `act′(z)`.
pub(super) fn slope<T: Real>(activation: Activation, z: T) -> T {
    let is_positive = z > T::zero();
    match activation {
        Activation::Relu if is_positive => T::one(),
        Activation::SquaredRelu if is_positive => z + z,
        Activation::Relu | Activation::SquaredRelu => T::zero(),
        Activation::Tanh => {
            let value = T::tanh(z);
            T::one() - value * value
        }
        Activation::Sigmoid => {
            let value = sigmoid_of(z);
            value * (T::one() - value)
        }
        _ => T::from_f64(slope_in_double(activation, z.to_f64())),
    }
}

fn value_in_double(activation: Activation, z: f64) -> f64 {
    match activation {
        Activation::Relu6 => z.clamp(0.0, 6.0),
        Activation::LeakyRelu if z < 0.0 => LEAK * z,
        Activation::HardSwish => z * (z + 3.0).clamp(0.0, 6.0) / 6.0,
        Activation::Mish => z * softplus(z).tanh(),
        Activation::Laplace => f64::normal_distribution((z - LAPLACE.0) / LAPLACE.1),
        Activation::ClippedGelu => (z * f64::normal_distribution(z)).min(GELU_LIMIT),
        Activation::SqrtSoftplus => softplus(z).sqrt(),
        // What is left is linear; the others have loops of their own and never come here.
        _ => z,
    }
}

fn slope_in_double(activation: Activation, z: f64) -> f64 {
    match activation {
        Activation::Relu6 => f64::from(u8::from(z > 0.0 && z < 6.0)),
        Activation::LeakyRelu if z <= 0.0 => LEAK,
        Activation::HardSwish if z < -3.0 => 0.0,
        Activation::HardSwish if z <= 3.0 => z / 3.0 + 0.5,
        Activation::Mish => {
            let tanh = softplus(z).tanh();
            tanh + z * (1.0 - tanh * tanh) * sigmoid_of(z)
        }
        Activation::Laplace => density((z - LAPLACE.0) / LAPLACE.1) / LAPLACE.1,
        Activation::ClippedGelu if z * f64::normal_distribution(z) > GELU_LIMIT => 0.0,
        Activation::ClippedGelu => f64::normal_distribution(z) + z * density(z),
        Activation::SqrtSoftplus => sigmoid_of(z) / (2.0 * softplus(z).sqrt()),
        _ => 1.0,
    }
}

/// Returns `ln(1 + eˣ)` without an overflow.
fn softplus(z: f64) -> f64 {
    z.max(0.0) + (-z.abs()).exp().ln_1p()
}

/// Returns the density of the standard normal distribution.
fn density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt()
}

fn sigmoid_of<T: Real>(z: T) -> T {
    let mut out = [T::zero()];
    sigmoid(&[z], &mut out);
    out[0]
}
