//! Biases of attention scores that depend on the positions of query and key: `ALiBi` and T5's.
//!
//! A bias is added after scaling and capping, before the softmax. It does not depend on the input, so
//! cotangents pass through it unchanged.

use super::Real;

/// A bias of the scores.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ScoreBias {
    /// Slope of each head times the key's position.
    ByKey(KeySlopes),
    /// A value for each head and distance. All distances from `reach` on share one.
    ByDistance {
        /// Distances −reach to reach, head after head. `[heads, 2 · reach + 1]`
        values: Vec<f64>,
        /// Largest distance that counts.
        reach: usize,
    },
}

/// Slopes of scores over keys.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeySlopes {
    /// One per head.
    pub(crate) slopes: Vec<f64>,
    /// Whether slope, position and product are rounded to bfloat16.
    pub(crate) is_bfloat16: bool,
    /// Factor after rounding.
    pub(crate) factor: f64,
}

impl ScoreBias {
    /// Adds the bias to the scores of keys `0..row.len()` for the query at `position`.
    pub(crate) fn add<T: Real>(&self, head: usize, position: usize, row: &mut [T]) {
        match self {
            Self::ByKey(slopes) => {
                for (key, score) in row.iter_mut().enumerate() {
                    *score += T::from_f64(slopes.at(head, key));
                }
            }
            Self::ByDistance { values, reach } => {
                let values = &values[head * (2 * reach + 1)..][..=2 * reach];
                for (key, score) in row.iter_mut().enumerate() {
                    let index = (key + reach).saturating_sub(position).min(2 * reach);
                    *score += T::from_f64(values[index]);
                }
            }
        }
    }
}

impl KeySlopes {
    fn at(&self, head: usize, key: usize) -> f64 {
        let (slope, key) = (self.slopes[head], key as f64);
        let product = if self.is_bfloat16 {
            let rounded = |v: f64| half::bf16::from_f64(v).to_f64();
            rounded(rounded(slope) * rounded(key))
        } else {
            slope * key
        };
        product * self.factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_beyond_reach_share_a_value() {
        let bias = ScoreBias::ByDistance {
            values: vec![0.0, 0.0, 0.0, 10.0, 20.0, 30.0],
            reach: 1,
        };
        let mut row = [1.0_f64; 5];
        bias.add(1, 2, &mut row);
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
        ScoreBias::ByKey(slopes.clone()).add(0, 2, &mut row);
        assert_eq!(row, [0.0, 1.0, 2.0]);
        let rounded = KeySlopes {
            is_bfloat16: true,
            ..slopes
        };
        // 257 is not a bfloat16; 256 is the nearest that is.
        assert_eq!(rounded.at(0, 257), 256.0);
    }
}
