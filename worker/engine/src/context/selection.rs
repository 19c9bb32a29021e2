//! Chooses the scores that stand out, as a [`Selection`] says.

use whence_schemas::Selection;

/// The scores that stand out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Selected {
    /// Absolute value that a score had to reach.
    pub(super) threshold: f64,
    /// Indices of the scores, by descending absolute value. Equal ones keep their order.
    pub(super) indices: Vec<usize>,
}

/// Returns which of `scores` stand out.
pub(super) fn select(selection: Selection, scores: &[f32]) -> Selected {
    let threshold = threshold(selection.std_weight, scores);
    let mut indices: Vec<_> = (0..scores.len())
        .filter(|&index| f64::from(scores[index].abs()) >= threshold)
        .collect();
    indices.sort_by(|&a, &b| scores[b].abs().total_cmp(&scores[a].abs()));
    indices.truncate(selection.top_k.unwrap_or(usize::MAX));
    Selected { threshold, indices }
}

/// Returns the threshold for the absolute values of `scores`. It is made of the mean and the sample
/// standard deviation of the scores as they are, signs included.
fn threshold(std_weight: Option<f64>, scores: &[f32]) -> f64 {
    let Some(weight) = std_weight.filter(|_| !scores.is_empty()) else {
        return 0.0;
    };
    let count = scores.len() as f64;
    let mean = scores.iter().copied().map(f64::from).sum::<f64>() / count;
    // A single score has no deviation, and reaches its own mean.
    if weight == 0.0 || scores.len() == 1 {
        return mean;
    }
    let squares = scores
        .iter()
        .map(|&score| (f64::from(score) - mean).powi(2));
    mean + weight * (squares.sum::<f64>() / (count - 1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Inseq's results for five scores.
    #[test]
    fn the_selection_is_inseqs() {
        let scores = [0.1, -2.0, 0.3, 1.5, 0.2];
        type Case<'a> = (Option<f64>, f64, &'a [usize]);
        let cases: [Case<'_>; 4] = [
            (Some(1.0), 1.28372, &[1, 3]),
            (Some(0.0), 0.02, &[1, 3, 2, 4, 0]),
            (None, 0.0, &[1, 3, 2, 4, 0]),
            (Some(2.0), 2.54745, &[]),
        ];
        for (std_weight, threshold, selected) in cases {
            let selection = Selection {
                std_weight,
                top_k: None,
            };
            let found = select(selection, &scores);
            assert!((found.threshold - threshold).abs() < 1e-5);
            assert_eq!(found.indices, selected);
        }
    }

    #[test]
    fn the_largest_are_kept_and_equal_ones_keep_their_order() {
        let indices = |std_weight, top_k, scores: &[f32]| {
            select(Selection { std_weight, top_k }, scores).indices
        };
        assert_eq!(indices(None, Some(2), &[1.0, -3.0, 3.0, 2.0]), [1, 2]);
        assert_eq!(indices(Some(1.0), None, &[0.7]), [0]);
        assert_eq!(indices(Some(1.0), None, &[0.1, 0.1, 0.1]), [0, 1, 2]);
        assert_eq!(indices(Some(1.0), None, &[]), [0_usize; 0]);
    }
}
