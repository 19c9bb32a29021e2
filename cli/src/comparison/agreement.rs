//! How far two attributions of an example agree.
//!
//! Both measures look at absolute values: which tokens matter, not in which direction. They are
//! computed for each generated token over all tokens that have scores (source and prefix together),
//! and averaged over the generated tokens.

use super::shared::SharedScores;

/// How far two attributions agree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Agreement {
    /// Spearman's rank correlation, from -1 to 1. `None` if no step defines it: it needs two tokens,
    /// and scores that are not all equal.
    pub(crate) rank_correlation: Option<f64>,
    /// The share of the `k` strongest tokens that are among the strongest in both runs. Steps with at
    /// most `k` tokens, where it is always 1, do not count; `None` if there are no others.
    pub(crate) top_overlap: Option<f64>,
    /// The largest absolute difference between two scores.
    pub(crate) largest_difference: f32,
}

impl Agreement {
    /// Measures how far two attributions agree, with the `top_k` strongest tokens of each step.
    pub(crate) fn new(shared: &SharedScores, top_k: usize) -> Self {
        let sizes =
            |scores: &[f32]| -> Vec<f32> { scores.iter().map(|score| score.abs()).collect() };
        let steps: Vec<[Vec<f32>; 2]> = shared
            .steps()
            .map(|runs| runs.map(|scores| sizes(&scores)))
            .filter(|runs| runs.iter().flatten().all(|score| score.is_finite()))
            .collect();
        let differences = shared.columns().flat_map(|(first, second)| {
            let pairs = first.values.iter().zip(&second.values);
            pairs.map(|(a, b)| (a - b).abs())
        });
        Self {
            rank_correlation: mean(steps.iter().filter_map(|[a, b]| rank_correlation(a, b))),
            top_overlap: mean(steps.iter().filter_map(|[a, b]| overlap(a, b, top_k))),
            largest_difference: differences.fold(0.0, f32::max),
        }
    }
}

/// Returns the mean; `None` of nothing.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0_u32, 0.0), |(count, sum), value| (count + 1, sum + value));
    (count > 0).then(|| sum / f64::from(count))
}

/// Returns Spearman's rank correlation: Pearson's correlation of the ranks.
fn rank_correlation(first: &[f32], second: &[f32]) -> Option<f64> {
    let ranks = [ranks(first), ranks(second)];
    let center = ranks.map(|ranks| {
        let mean = mean(ranks.iter().copied())?;
        Some(ranks.iter().map(|rank| rank - mean).collect::<Vec<_>>())
    });
    let [Some(a), Some(b)] = center else {
        return None;
    };
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let spread = (dot(&a, &a) * dot(&b, &b)).sqrt();
    (spread > 0.0).then(|| dot(&a, &b) / spread)
}

/// Returns the rank of each score, from 1 for the lowest. Equal scores share the mean of their ranks.
fn ranks(scores: &[f32]) -> Vec<f64> {
    let order = descending(scores);
    let mut ranks = vec![0.0; scores.len()];
    let mut start = 0;
    for group in order.chunk_by(|a, b| scores[*a] == scores[*b]) {
        let end = start + group.len();
        let from_top = (start + 1 + end) as f64 / 2.0;
        for index in group {
            ranks[*index] = (scores.len() + 1) as f64 - from_top;
        }
        start = end;
    }
    ranks
}

/// Returns the share of the `k` strongest tokens that both have.
fn overlap(first: &[f32], second: &[f32], k: usize) -> Option<f64> {
    if first.len() <= k || k == 0 {
        return None;
    }
    let [first, second] = [first, second].map(|scores| descending(scores)[..k].to_vec());
    let shared = first.iter().filter(|index| second.contains(index)).count();
    Some(shared as f64 / k as f64)
}

/// Returns the indices of the scores, largest first; of equal ones, the first comes first.
fn descending(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order
}

#[cfg(test)]
mod tests {
    use super::super::shared::tests::attribution;
    use super::*;

    /// The last value is worked out by hand: the ranks are 1, 2.5, 2.5, 4 and 3, 1, 2, 4.
    #[test]
    fn rank_correlation_is_spearmans() {
        let close = |a: &[f32], b: &[f32], expected: f64| {
            let found = rank_correlation(a, b).unwrap();
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        };
        close(&[1.0, 2.0, 3.0, 4.0], &[1.0, 2.0, 3.0, 4.0], 1.0);
        close(&[1.0, 2.0, 3.0, 4.0], &[9.0, 7.0, 5.0, 1.0], -1.0);
        close(
            &[1.0, 2.0, 2.0, 4.0],
            &[3.0, 1.0, 2.0, 4.0],
            0.316_227_766_016_837_94,
        );
        assert_eq!(rank_correlation(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(rank_correlation(&[1.0], &[1.0]), None);
        assert_eq!(rank_correlation(&[], &[]), None);
    }

    #[test]
    fn the_strongest_tokens_are_counted() {
        assert_eq!(overlap(&[0.9, 0.5, 0.1], &[0.1, 0.5, 0.9], 2), Some(0.5));
        assert_eq!(overlap(&[0.9, 0.5, 0.1], &[0.8, 0.7, 0.1], 2), Some(1.0));
        assert_eq!(overlap(&[0.9, 0.5], &[0.5, 0.9], 2), None);
    }

    #[test]
    fn a_run_agrees_with_itself_whatever_its_signs() {
        let run = attribution(&[0.5], &[0.25, -0.75]);
        let other = attribution(&[0.5], &[0.25, 0.75]);
        let shared = SharedScores::new(&run, &other).unwrap();
        let agreement = Agreement::new(&shared, 1);
        assert_eq!(agreement.rank_correlation, Some(1.0));
        assert_eq!(agreement.top_overlap, Some(1.0));
        assert_eq!(agreement.largest_difference, 1.5);
    }

    #[test]
    fn scores_that_are_not_numbers_are_left_out() {
        let run = attribution(&[0.5], &[f32::NAN, 0.75]);
        let shared = SharedScores::new(&run, &run).unwrap();
        let agreement = Agreement::new(&shared, 1);
        assert_eq!(
            (agreement.rank_correlation, agreement.top_overlap),
            (None, None)
        );
    }
}
