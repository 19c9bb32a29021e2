//! The nonlinearities and their slopes, over slices.
//!
//! Most are `z · sigmoid(u(z))` for some `u`: swish with `u = z`, and the tanh form of GELU with
//! `u = 2 √(2/π) (z + 0.044715 z³)`, because `(1 + tanh(v)) / 2 = sigmoid(2v)`. That form loses
//! nothing in either tail and is as fast as the exponential.

use super::exp::sigmoid;
use super::gemm::with_best_instructions;
use super::pointwise;
use super::real::Real;
use crate::kernels::activation_function::Activation;

/// √(2/π) as BLOOM's code writes it; the ninth digit reaches the logits.
const TRUNCATED_SQRT_2_OVER_PI: f64 = 0.797_884_56;

/// The cubic term of the tanh form of GELU.
const CUBIC: f64 = 0.044_715;

/// Values that are worked on at once, small enough for the first-level cache.
const BLOCK: usize = 256;

/// Writes `act(z)`.
pub(crate) fn value<T: Real>(activation: Activation, z: &[T], out: &mut [T]) {
    match activation.as_gate() {
        Some(gate) => gate.value(z, out),
        None if activation == Activation::Gelu => gelu_value(z, out),
        None => {
            for (out, &z) in out.iter_mut().zip(z) {
                *out = pointwise::value(activation, z);
            }
        }
    }
}

/// Writes `act′(z)`.
pub(crate) fn slope<T: Real>(activation: Activation, z: &[T], out: &mut [T]) {
    match activation.as_gate() {
        Some(gate) => gate.slope(z, out),
        None if activation == Activation::Gelu => gelu_slope(z, out),
        None => {
            for (out, &z) in out.iter_mut().zip(z) {
                *out = pointwise::slope(activation, z);
            }
        }
    }
}

/// `z · sigmoid(linear · z + cubic · z³)`.
#[derive(Debug, Clone, Copy)]
struct Gate {
    linear: f64,
    cubic: f64,
}

impl Activation {
    /// Returns the activation as a gate, if it is one.
    fn as_gate(self) -> Option<Gate> {
        let tanh_gelu = |sqrt_2_over_pi: f64| Gate {
            linear: 2.0 * sqrt_2_over_pi,
            cubic: 2.0 * sqrt_2_over_pi * CUBIC,
        };
        match self {
            Self::Silu => Some(Gate {
                linear: 1.0,
                cubic: 0.0,
            }),
            Self::QuickGelu => Some(Gate {
                linear: 1.702,
                cubic: 0.0,
            }),
            Self::TanhGelu => Some(tanh_gelu((2.0 / std::f64::consts::PI).sqrt())),
            Self::TruncatedTanhGelu => Some(tanh_gelu(TRUNCATED_SQRT_2_OVER_PI)),
            _ => None,
        }
    }
}

impl Gate {
    fn value<T: Real>(self, z: &[T], out: &mut [T]) {
        for (z, out) in z.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
            self.sigmoids(z, out);
            for (out, &z) in out.iter_mut().zip(z) {
                *out *= z;
            }
        }
    }

    fn slope<T: Real>(self, z: &[T], out: &mut [T]) {
        let (linear, cubic) = (T::from_f64(self.linear), T::from_f64(3.0 * self.cubic));
        for (z, out) in z.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
            self.sigmoids(z, out);
            for (out, &z) in out.iter_mut().zip(z) {
                let steepness = z * (linear + cubic * z * z);
                *out = *out * (T::one() + steepness * (T::one() - *out));
            }
        }
    }

    /// Writes the sigmoids of one block.
    fn sigmoids<T: Real>(self, z: &[T], out: &mut [T]) {
        if self.cubic == 0.0 && self.linear == 1.0 {
            return sigmoid(z, out);
        }
        let (linear, cubic) = (T::from_f64(self.linear), T::from_f64(self.cubic));
        let mut arguments = [T::zero(); BLOCK];
        let arguments = &mut arguments[..z.len()];
        for (argument, &z) in arguments.iter_mut().zip(z) {
            *argument = z * (linear + cubic * z * z);
        }
        sigmoid(arguments, out);
    }
}

/// Writes `z Φ(z)`.
fn gelu_value<T: Real>(z: &[T], out: &mut [T]) {
    with_best_instructions!(gelu_values::<T>(z: &[T], out: &mut [T]));
}

#[inline(always)]
fn gelu_values<T: Real>(z: &[T], out: &mut [T]) {
    for (out, &z) in out.iter_mut().zip(z) {
        *out = z * T::normal_distribution(z);
    }
}

/// Writes `Φ(z) + z φ(z)`.
fn gelu_slope<T: Real>(z: &[T], out: &mut [T]) {
    with_best_instructions!(gelu_slopes::<T>(z: &[T], out: &mut [T]));
}

#[inline(always)]
fn gelu_slopes<T: Real>(z: &[T], out: &mut [T]) {
    for (out, &z) in out.iter_mut().zip(z) {
        *out = T::normal_distribution(z) + z * normal_density(z);
    }
}

#[inline(always)]
fn normal_density<T: Real>(z: T) -> T {
    let scale =
        T::from_f64(std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2 / 2.0);
    scale * T::exp_nonpositive(z * z * T::from_f64(-0.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs() -> Vec<f64> {
        (-400..400).map(|i| f64::from(i) * 0.02 + 0.003).collect()
    }

    #[test]
    fn slopes_are_differences_of_values() {
        const STEP: f64 = 1e-6;
        let z = inputs();
        for activation in Activation::ALL {
            let at = |offset: f64| {
                let moved: Vec<_> = z.iter().map(|z| z + offset).collect();
                let mut out = vec![0.0; z.len()];
                value(activation, &moved, &mut out);
                out
            };
            let mut slopes = vec![0.0; z.len()];
            slope(activation, &z, &mut slopes);
            for ((slope, above), below) in slopes.iter().zip(at(STEP)).zip(at(-STEP)) {
                let difference = (above - below) / (2.0 * STEP);
                assert!(
                    (slope - difference).abs() < 1e-8,
                    "{activation:?}: {slope}, difference {difference}"
                );
            }
        }
    }

    #[test]
    fn values_are_those_of_the_formulas() {
        // Written out with the C library's exp, log1p, erf and tanh at z = 0.7.
        let expected = [
            (Activation::Silu, 0.467_731_440_517_716_3),
            (Activation::Gelu, 0.530_625_443_443_848_9),
            (Activation::TanhGelu, 0.530_570_134_705_116_7),
            (Activation::QuickGelu, 0.536_893_951_723_150_1),
            (Activation::HardSwish, 0.7 * 3.7 / 6.0),
            (Activation::Mish, 0.561_148_377_643_851_8),
            (Activation::Laplace, 0.489_950_254_770_628_9),
            (Activation::SqrtSoftplus, 1.050_326_639_139_205),
        ];
        for (activation, expected) in expected {
            let mut out = [0.0_f64];
            value(activation, &[0.7], &mut out);
            assert!(
                (out[0] - expected).abs() < 1e-15,
                "{activation:?}: {}",
                out[0]
            );
        }
    }

    #[test]
    fn single_precision_is_near_double() {
        let z = inputs();
        let single: Vec<_> = z.iter().map(|&z| z as f32).collect();
        for activation in Activation::ALL {
            let (mut truth, mut values) = (vec![0.0; z.len()], vec![0.0; z.len()]);
            value(activation, &z, &mut truth);
            value(activation, &single, &mut values);
            for (truth, value) in truth.iter().zip(values) {
                assert!((truth - f64::from(value)).abs() < 1e-6 * (1.0 + truth.abs()));
            }
        }
    }
}
