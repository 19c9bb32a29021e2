//! The numbers the engine computes with: single precision, and double where truth is wanted.

use candle_core::WithDType;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// A floating-point number.
pub(crate) trait Real: WithDType + Default {
    /// Returns `a · b + c`, rounded once. Fast only where the processor has the instruction.
    fn fused(a: Self, b: Self, c: Self) -> Self;

    /// Returns a number near `e^x`, for `x ≤ 0` within 2 units in the last place; 0 where that is
    /// too small to write normally.
    fn exp_nonpositive(x: Self) -> Self;

    /// Returns `tanh(x)`, exact for small `x` too.
    fn tanh(x: Self) -> Self;

    /// Returns the probability that a standard normal number is below `x`, to this precision.
    fn normal_distribution(x: Self) -> Self;

    /// Writes numbers of half precision, each of which is a number of this one.
    fn widen_f16(halves: &[f16], out: &mut [Self]);

    /// Writes numbers of brain precision, each of which is a number of this one.
    fn widen_bf16(halves: &[bf16], out: &mut [Self]);
}

/// Returns the number whose upper half is `half`, without a branch.
#[inline(always)]
fn single(half: bf16) -> f32 {
    f32::from_bits(u32::from(half.to_bits()) << 16)
}

impl Real for f32 {
    fn tanh(x: Self) -> Self {
        x.tanh()
    }

    fn widen_f16(halves: &[f16], out: &mut [Self]) {
        halves.convert_to_f32_slice(out);
    }

    fn widen_bf16(halves: &[bf16], out: &mut [Self]) {
        for (out, &half) in out.iter_mut().zip(halves) {
            *out = single(half);
        }
    }

    /// The tail beyond |x| is `e^(−x²/2) · p(t)` with `t = 1 / (1 + 0.3 |x|)`: branchless, so that
    /// the compiler can do several at once. The eight coefficients of `p` were fitted, by weighted
    /// least squares on 2,000 Chebyshev nodes, to an absolute error of 3e-9.
    #[inline(always)]
    fn normal_distribution(x: Self) -> Self {
        const COEFFICIENTS: [f32; 8] = [
            0.028_617_386,
            -0.120_482_15,
            0.125_964_83,
            0.042_231_56,
            0.061_244_226,
            0.127_688_84,
            0.114_518_72,
            0.120_216_59,
        ];
        let t = 1.0 / (1.0 + 0.3 * x.abs());
        let mut sum = 0.0;
        for coefficient in COEFFICIENTS {
            sum = sum * t + coefficient;
        }
        let tail = Self::exp_nonpositive(-0.5 * x * x) * sum * t;
        if x > 0.0 { 1.0 - tail } else { tail }
    }

    #[inline(always)]
    fn fused(a: Self, b: Self, c: Self) -> Self {
        a.mul_add(b, c)
    }

    /// Splits `x = n ln 2 + r` with |r| ≤ ln 2 / 2 and sums the series of `e^r`, without a branch,
    /// so that the compiler can do several at once.
    #[inline(always)]
    fn exp_nonpositive(x: Self) -> Self {
        const SMALLEST: f32 = -87.0;
        // ln 2 in two parts, the first exact in the products with small integers below.
        const LN_2_HIGH: f32 = 0.693_359_4;
        const LN_2_LOW: f32 = -2.121_944_4e-4;
        let clamped = if x < SMALLEST { SMALLEST } else { x };
        // Adding and subtracting 1.5 · 2^23 rounds to the nearest integer.
        const ROUND: f32 = 12_582_912.0;
        let n = (clamped * std::f32::consts::LOG2_E + ROUND) - ROUND;
        let r = (clamped - n * LN_2_HIGH) - n * LN_2_LOW;
        let mut series = 1.0 / 5040.0;
        for coefficient in [
            1.0 / 720.0,
            1.0 / 120.0,
            1.0 / 24.0,
            1.0 / 6.0,
            0.5,
            1.0,
            1.0,
        ] {
            series = series * r + coefficient;
        }
        let scale = f32::from_bits(((n as i32 + 127) << 23) as u32);
        if x < SMALLEST { 0.0 } else { series * scale }
    }
}

impl Real for f64 {
    fn tanh(x: Self) -> Self {
        x.tanh()
    }

    fn widen_f16(halves: &[f16], out: &mut [Self]) {
        halves.convert_to_f64_slice(out);
    }

    fn widen_bf16(halves: &[bf16], out: &mut [Self]) {
        for (out, &half) in out.iter_mut().zip(halves) {
            *out = single(half).into();
        }
    }

    fn normal_distribution(x: Self) -> Self {
        0.5 * candle_core::cpu::erf::erfc_f64(-x * std::f64::consts::FRAC_1_SQRT_2)
    }

    #[inline(always)]
    fn fused(a: Self, b: Self, c: Self) -> Self {
        a.mul_add(b, c)
    }

    /// As in single precision, with a longer series.
    #[inline(always)]
    fn exp_nonpositive(x: Self) -> Self {
        const SMALLEST: f64 = -708.0;
        const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
        const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
        let clamped = if x < SMALLEST { SMALLEST } else { x };
        // Adding and subtracting 1.5 · 2^52 rounds to the nearest integer, whose bits are then the
        // low bits of the sum.
        const ROUND: f64 = 6_755_399_441_055_744.0;
        let shifted = clamped * std::f64::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = (clamped - n * LN_2_HIGH) - n * LN_2_LOW;
        let mut series = INVERSE_FACTORIALS[0];
        for coefficient in &INVERSE_FACTORIALS[1..] {
            series = series * r + coefficient;
        }
        let scale = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
        if x < SMALLEST { 0.0 } else { series * scale }
    }
}

/// `1 / 13!` down to `1 / 0!`: the series of `e^r` to double precision for |r| ≤ ln 2 / 2.
const INVERSE_FACTORIALS: [f64; 14] = {
    let mut coefficients = [1.0; 14];
    let (mut n, mut factorial) = (1, 1.0);
    while n < 14 {
        factorial *= n as f64;
        coefficients[13 - n] = 1.0 / factorial;
        n += 1;
    }
    coefficients
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_exact_to_two_units_in_the_last_place() {
        for step in 0..200_000_u32 {
            let x = -f64::from(step) * 4e-4;
            let (double, single) = (f64::exp_nonpositive(x), f32::exp_nonpositive(x as f32));
            assert!(
                (double / x.exp() - 1.0).abs() <= 2.0 * f64::EPSILON,
                "e^{x} = {double}"
            );
            let truth = f64::from(x as f32).exp();
            assert!(
                (f64::from(single) / truth - 1.0).abs() <= 2.0 * f64::from(f32::EPSILON),
                "e^{x} = {single}"
            );
        }
    }

    #[test]
    fn every_half_is_widened_exactly() {
        let all: Vec<u16> = (0..=u16::MAX).collect();
        let equal = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
        let (mut single, mut double) = (vec![0_f32; all.len()], vec![0_f64; all.len()]);
        let halves: Vec<_> = all.iter().map(|&bits| f16::from_bits(bits)).collect();
        f32::widen_f16(&halves, &mut single);
        f64::widen_f16(&halves, &mut double);
        for (index, half) in halves.iter().enumerate() {
            assert!(
                equal(half.to_f64(), single[index].into()) && equal(half.to_f64(), double[index])
            );
        }
        let halves: Vec<_> = all.iter().map(|&bits| bf16::from_bits(bits)).collect();
        f32::widen_bf16(&halves, &mut single);
        f64::widen_bf16(&halves, &mut double);
        for (index, half) in halves.iter().enumerate() {
            assert!(
                equal(half.to_f64(), single[index].into()) && equal(half.to_f64(), double[index])
            );
        }
    }

    #[test]
    fn exp_ends_in_zero_and_starts_at_one() {
        assert_eq!(
            (f32::exp_nonpositive(0.0), f64::exp_nonpositive(0.0)),
            (1.0, 1.0)
        );
        assert_eq!(
            (
                f32::exp_nonpositive(-1e30),
                f64::exp_nonpositive(f64::NEG_INFINITY)
            ),
            (0.0, 0.0)
        );
        assert!(f32::exp_nonpositive(f32::NAN).is_nan() && f64::exp_nonpositive(f64::NAN).is_nan());
    }

    #[test]
    fn the_normal_distribution_of_single_precision_is_that_of_double() {
        for step in -200_000..200_000_i32 {
            let x = step as f32 * 1e-4;
            let (single, truth) = (
                f32::normal_distribution(x),
                f64::normal_distribution(f64::from(x)),
            );
            assert!(
                (f64::from(single) - truth).abs() < 2.5e-7,
                "{x}: {single}, {truth}"
            );
        }
        assert!(f32::normal_distribution(f32::NAN).is_nan());
        assert_eq!(f32::normal_distribution(f32::NEG_INFINITY), 0.0);
        assert_eq!(f32::normal_distribution(f32::INFINITY), 1.0);
    }
}
