//! `ALiBi` slopes: one per head, multiplied by the distance to give a penalty on attention scores.
//!
//! Source: Press et al. 2021, <https://arxiv.org/abs/2108.12409>. If the number of heads `n` is a
//! power of two, the slopes are a geometric sequence from `2^(−8/n)` to `2^−8`. Other numbers of
//! heads take some slopes of the next power of two, and model families differ in which ones.

/// Returns the slopes of BLOOM and Falcon: all slopes of the largest power of two that is not
/// above `heads`, then every other slope of twice as many heads.
pub(super) fn interleaved_slopes(heads: usize) -> Vec<f64> {
    let below = 1_usize << heads.max(1).ilog2();
    let mut slopes = geometric(below);
    let between = geometric(2 * below).into_iter().step_by(2);
    slopes.extend(between.take(heads - below));
    slopes
}

/// Returns the slopes of MPT, the smallest of which is `2^−max`. If `heads` is not a power of two,
/// they come from the next one: first the slopes at odd positions, then those at even ones.
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

/// Returns the slopes for a power of two of heads, rounded to single precision as in transformers.
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
