//! Softmax and sigmoid of slices.
//!
//! Sums run in double precision in a fixed number of lanes. Summed in single precision, the
//! normalizer of a vocabulary of fifty thousand tokens is so inexact that gradients of confident steps
//! lose three digits.

use super::gemm::with_best_instructions;
use super::real::Real;

/// Number of independent partial sums. It is fixed, so that a slice's bits depend on the slice alone.
const LANES: usize = 8;

/// Replaces `values` by their softmax. An empty slice stays empty.
pub(crate) fn softmax_in_place<T: Real>(values: &mut [T]) {
    with_best_instructions!(softmax::<T>(values: &mut [T]));
}

#[inline(always)]
fn softmax<T: Real>(values: &mut [T]) {
    let mut largest = T::from_f64(f64::NEG_INFINITY);
    for &value in values.iter() {
        largest = if value > largest { value } else { largest };
    }
    for value in values.iter_mut() {
        *value = T::exp_nonpositive(*value - largest);
    }
    let mut lanes = [0.0; LANES];
    let mut chunks = values.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value.to_f64();
        }
    }
    let rest: f64 = chunks.remainder().iter().map(|value| value.to_f64()).sum();
    let scale = T::from_f64(1.0 / (lanes.iter().sum::<f64>() + rest));
    for value in values.iter_mut() {
        *value *= scale;
    }
}

/// Writes `1 / (1 + e^−z)` of each value.
pub(crate) fn sigmoid<T: Real>(z: &[T], out: &mut [T]) {
    with_best_instructions!(sigmoids::<T>(z: &[T], out: &mut [T]));
}

#[inline(always)]
fn sigmoids<T: Real>(z: &[T], out: &mut [T]) {
    for (out, &z) in out.iter_mut().zip(z) {
        // e^−|z| ≤ 1, so nothing overflows. For negative z, sigmoid(z) = e^z · sigmoid(−z).
        let magnitude = if z > T::zero() { z } else { T::zero() - z };
        let e = T::exp_nonpositive(T::zero() - magnitude);
        let upper = T::one() / (T::one() + e);
        *out = if z > T::zero() { upper } else { e * upper };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_softmax_sums_to_one_and_keeps_ratios() {
        let mut values: Vec<f32> = (0..1001).map(|i| (i % 17) as f32 * 0.3 - 90.0).collect();
        softmax_in_place(&mut values);
        let sum: f64 = values.iter().map(|&v| f64::from(v)).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        assert!((values[1] / values[0] - 0.3_f32.exp()).abs() < 1e-5);
    }

    #[test]
    fn sigmoids_are_right_at_both_ends() {
        let z = [-200.0_f64, -1.0, 0.0, 1.0, 200.0];
        let mut out = [0.0; 5];
        sigmoid(&z, &mut out);
        let expected = [
            0.0,
            1.0 / (1.0 + 1_f64.exp()),
            0.5,
            1.0 / (1.0 + (-1_f64).exp()),
            1.0,
        ];
        for (out, expected) in out.iter().zip(expected) {
            assert!((out - expected).abs() < 1e-15);
        }
    }
}
