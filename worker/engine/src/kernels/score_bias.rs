//! Biases of attention scores that depend on the positions of query and key: `ALiBi` and T5's.
//!
//! A bias is added after scaling and capping, before the softmax. It does not depend on the input, so
//! cotangents pass through it unchanged.

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

impl KeySlopes {
    /// Returns what is added to the scores of the key at position `key`.
    pub(in crate::kernels) fn at(&self, head: usize, key: usize) -> f64 {
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
    fn slopes_may_be_rounded_to_bfloat16() {
        let rounded = KeySlopes {
            slopes: vec![0.5],
            is_bfloat16: true,
            factor: 2.0,
        };
        // 257 is not a bfloat16; 256 is the nearest that is.
        assert_eq!(rounded.at(0, 257), 256.0);
    }
}
