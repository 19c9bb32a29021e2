//! Slopes of attention scores over distance, one a head.
//!
//! Source: Press et al. 2021, <https://arxiv.org/abs/2108.12409>: the slopes of `n` heads, a power of
//! two, are a geometric sequence from `2^(−8/n)` to `2^−8`. Other numbers take some of the slopes of
//! the next power of two, and families differ in which.

/// Returns the slopes of BLOOM and Falcon: those of the power of two below, then every other one of
/// twice as many heads.
pub(super) fn interleaved_slopes(heads: usize) -> Vec<f64> {
    let below = 1_usize << heads.max(1).ilog2();
    let mut slopes = geometric(below);
    let between = geometric(2 * below).into_iter().step_by(2);
    slopes.extend(between.take(heads - below));
    slopes
}

/// Returns the slopes of MPT, which fall to `2^−max`: of the power of two above, first those at odd
/// places, then those at even ones.
pub(super) fn reordered_slopes(heads: usize, max: f64) -> Vec<f64> {
    let above = heads.next_power_of_two();
    let slope = |head: usize| {
        let exponent = (head + 1) as f32 * (max / above as f64) as f32;
        f64::from(1.0 / (-f64::from(exponent)).exp2().recip() as f32)
    };
    if above == heads {
        return (0..heads).map(slope).collect();
    }
    let odd = (1..above).step_by(2);
    let even = (0..above).step_by(2);
    odd.chain(even).take(heads).map(slope).collect()
}

/// Returns the slopes of `heads`, a power of two, in single precision as transformers computes them.
fn geometric(heads: usize) -> Vec<f64> {
    let base = f64::from((-8.0 / heads as f64).exp2() as f32);
    let slope = |head: usize| f64::from(base.powf((head + 1) as f64) as f32);
    (0..heads).map(slope).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_of_a_power_of_two_are_a_geometric_sequence() {
        let expected = [0.25, 0.0625, 0.015_625, 0.003_906_25];
        assert_eq!(interleaved_slopes(4), expected);
        assert_eq!(reordered_slopes(4, 8.0), expected);
    }

    #[test]
    fn other_numbers_of_heads_take_slopes_from_between() {
        let slopes = interleaved_slopes(6);
        assert_eq!(slopes[..4], interleaved_slopes(4));
        assert_eq!(slopes[4..], [0.5, 0.125]);
        assert_eq!(
            reordered_slopes(6, 8.0),
            [0.25, 0.0625, 0.015_625, 0.003_906_25, 0.5, 0.125]
        );
    }
}
