//! Conversion of scores to probabilities.

/// Returns the softmax of scores, which may include minus infinity.
pub(super) fn softmax(scores: &[f64]) -> Vec<f64> {
    let shift = log_sum(scores);
    scores.iter().map(|score| (score - shift).exp()).collect()
}

/// Returns the log-softmax of scores.
pub(super) fn log_softmax(scores: &[f64]) -> Vec<f64> {
    let shift = log_sum(scores);
    scores.iter().map(|score| score - shift).collect()
}

/// Returns the logarithm of the sum of the exponentials of the scores.
fn log_sum(scores: &[f64]) -> f64 {
    // Relative to the largest score, so that no exponential overflows.
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
    largest + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_and_an_impossible_token_stays_so() {
        let probabilities = softmax(&[1000.0, f64::NEG_INFINITY, 1000.0 + 3_f64.ln()]);
        for (found, expected) in probabilities.iter().zip([0.25, 0.0, 0.75]) {
            assert!((found - expected).abs() < 1e-12, "{probabilities:?}");
        }
    }
}
