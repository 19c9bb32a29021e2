//! Chooses the scores that stand out: those at least a number of standard deviations above the
//! mean, and of these the largest.

/// Which scores stand out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Selection {
    /// The threshold is the mean plus this many standard deviations; `None` means all scores.
    pub std_weight: Option<f64>,
    /// At most this many scores; `None` means all that reach the threshold.
    pub top_k: Option<usize>,
}

impl Selection {
    /// Returns the threshold for the absolute values of `scores`. It is made of the mean and the
    /// sample standard deviation of the scores as they are, signs included.
    pub fn threshold(&self, scores: &[f32]) -> f64 {
        let Some(weight) = self.std_weight.filter(|_| !scores.is_empty()) else {
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

    /// Returns the indices of the scores that stand out, by descending absolute value. Equal ones
    /// keep their order.
    pub fn select(&self, scores: &[f32]) -> Vec<usize> {
        let threshold = self.threshold(scores);
        let mut selected: Vec<_> = (0..scores.len())
            .filter(|&index| f64::from(scores[index].abs()) >= threshold)
            .collect();
        selected.sort_by(|&a, &b| scores[b].abs().total_cmp(&scores[a].abs()));
        selected.truncate(self.top_k.unwrap_or(usize::MAX));
        selected
    }
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
            assert!((selection.threshold(&scores) - threshold).abs() < 1e-5);
            assert_eq!(selection.select(&scores), selected);
        }
    }

    #[test]
    fn the_largest_are_kept_and_equal_ones_keep_their_order() {
        let selection = |std_weight, top_k| Selection { std_weight, top_k };
        assert_eq!(
            selection(None, Some(2)).select(&[1.0, -3.0, 3.0, 2.0]),
            [1, 2]
        );
        assert_eq!(selection(Some(1.0), None).select(&[0.7]), [0]);
        assert_eq!(
            selection(Some(1.0), None).select(&[0.1, 0.1, 0.1]),
            [0, 1, 2]
        );
        assert_eq!(selection(Some(1.0), None).select(&[]), [0_usize; 0]);
    }
}
