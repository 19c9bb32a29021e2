//! The most probable tokens: top-p and top-k, as the samplers of transformers select them.

use crate::Error;

/// Returns the smallest set of most probable tokens that holds `top_p` of the probability, but at
/// least `min_kept` tokens.
///
/// With tokens sorted ascending by probability, a token stays if the sum up to and including it
/// exceeds `1 − top_p`. The sort is stable: of equally probable tokens, those with smaller ids are
/// removed first.
pub(super) fn top_p(probabilities: &[f64], top_p: f64, min_kept: usize) -> Vec<usize> {
    let mut tokens: Vec<_> = (0..probabilities.len()).collect();
    tokens.sort_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
    // At least one token always stays, even if `min_kept` is 0.
    let most_leaving = tokens.len().saturating_sub(min_kept.max(1));
    let mut sum = 0.0;
    let mut num_leaving = 0;
    for &token in &tokens[..most_leaving] {
        sum += probabilities[token];
        if sum > 1.0 - top_p {
            break;
        }
        num_leaving += 1;
    }
    tokens.split_off(num_leaving)
}

/// Returns the `k` most probable of `tokens`, and any others as probable as the last of them.
pub(super) fn top_k(probabilities: &[f64], tokens: &[usize], k: usize) -> Vec<usize> {
    let mut sorted: Vec<f64> = tokens.iter().map(|&token| probabilities[token]).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let Some(&smallest) = sorted.get(k.max(1) - 1) else {
        return tokens.to_vec();
    };
    let stays = |token: &usize| probabilities[*token] >= smallest;
    tokens.iter().copied().filter(stays).collect()
}

/// Fails if `top_p` is not a valid share of the probability.
pub(super) fn check_top_p(name: &'static str, top_p: f64) -> Result<(), Error> {
    if top_p > 0.0 && top_p <= 1.0 {
        return Ok(());
    }
    Err(Error::Parameters {
        what: "step function",
        name: name.to_owned(),
        reason: format!("`top_p` is {top_p}, it must be above 0 and at most 1"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBABILITIES: [f64; 5] = [0.1, 0.4, 0.05, 0.3, 0.15];

    #[test]
    fn the_nucleus_is_the_fewest_tokens_that_reach_the_share() {
        let kept = |share| {
            let mut kept = top_p(&PROBABILITIES, share, 1);
            kept.sort_unstable();
            kept
        };
        assert_eq!(kept(0.65), [1, 3]);
        assert_eq!(kept(0.75), [1, 3, 4]);
        assert_eq!(kept(0.01), [1]);
        assert_eq!(kept(1.0), [0, 1, 2, 3, 4]);
        assert_eq!(top_p(&PROBABILITIES, 0.01, 2).len(), 2);
    }

    #[test]
    fn top_k_keeps_the_likeliest_and_their_equals() {
        let all: Vec<_> = (0..5).collect();
        assert_eq!(top_k(&PROBABILITIES, &all, 2), [1, 3]);
        assert_eq!(top_k(&[0.25; 4], &all[..4], 2).len(), 4);
        assert_eq!(top_k(&PROBABILITIES, &all, 9), all);
    }
}
