//! Biases added to scores in main memory.

use super::real::Real;
use crate::kernels::score_bias::ScoreBias;

/// Adds the bias to the scores of keys `0..row.len()` for the query at `position`.
pub(super) fn add<T: Real>(bias: &ScoreBias, head: usize, position: usize, row: &mut [T]) {
    match bias {
        ScoreBias::ByKey(slopes) => {
            for (key, score) in row.iter_mut().enumerate() {
                *score += T::from_f64(slopes.at(head, key));
            }
        }
        ScoreBias::ByDistance { values, reach } => {
            let values = &values[head * (2 * reach + 1)..][..=2 * reach];
            for (key, score) in row.iter_mut().enumerate() {
                let index = (key + reach).saturating_sub(position).min(2 * reach);
                *score += T::from_f64(values[index]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::score_bias::KeySlopes;

    #[test]
    fn distances_beyond_reach_share_a_value() {
        let bias = ScoreBias::ByDistance {
            values: vec![0.0, 0.0, 0.0, 10.0, 20.0, 30.0],
            reach: 1,
        };
        let mut row = [1.0_f64; 5];
        add(&bias, 1, 2, &mut row);
        assert_eq!(row, [11.0, 11.0, 21.0, 31.0, 31.0]);
    }

    #[test]
    fn slopes_rise_with_the_key() {
        let slopes = KeySlopes {
            slopes: vec![0.5, 0.3],
            is_bfloat16: false,
            factor: 2.0,
        };
        let mut row = [0.0_f64; 3];
        add(&ScoreBias::ByKey(slopes), 0, 2, &mut row);
        assert_eq!(row, [0.0, 1.0, 2.0]);
    }
}
