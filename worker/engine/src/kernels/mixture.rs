//! Mixtures of experts: which experts a row chooses, and how their outputs are mixed.
//!
//! With logits `z`, scores `s = softmax(z)` or `s = sigmoid(z)`, the chosen experts `C` and the
//! factor `c`, the weight of expert `e` in `C` is `w = c · s`, or `w = c · s / Σ s` over `C`. With
//! cotangents `d` of the weights and `m = Σ w d / c` over `C` (0 if the scores are not divided by
//! their sum):
//!
//! * softmax, divided: `dzₑ = wₑ (dₑ − m)`
//! * softmax: `dzₑ = wₑ dₑ − sₑ Σ w d`, also for experts that were not chosen
//! * sigmoid: `dzₑ = wₑ (1 − sₑ) (dₑ − m)`

use candle_core::DType;

use super::cpu::{self, by_dtype};
use super::device;
use super::host;
use super::routing::{Routing, RoutingSpec, Scoring};
use super::row_index::RowIndex;
use super::tensor::{Tensor, device_of};
use crate::error::Result;

/// Which experts each row chose, and with what weight.
#[derive(Debug, Clone)]
pub(crate) struct ExpertChoice {
    /// Weight of each expert; 0 for those that were not chosen. `[rows, experts]`
    weights: Vec<f64>,
    /// Score of each expert; empty if the backward pass does not need them. `[rows, experts]`
    scores: Vec<f64>,
    num_experts: usize,
    spec: RoutingSpec,
}

/// Chooses experts for each row of `logits`, `[rows, experts]`: those that rank highest, the first
/// of equal ones.
pub(crate) fn choose(logits: &Tensor, routing: &Routing) -> Result<ExpertChoice> {
    let (_, num_experts) = logits.dims2()?;
    // Rows are given to experts on the host, so it has to know the choice anyway.
    let logits = &logits.in_memory()?;
    let (weights, scores) = by_dtype!(logits, T => cpu::mixture::choose::<T>(logits, routing))?;
    Ok(ExpertChoice {
        weights,
        scores,
        num_experts,
        spec: routing.spec,
    })
}

impl ExpertChoice {
    /// Returns the rows that chose `expert`, ascending.
    pub(crate) fn rows_of(&self, expert: usize) -> RowIndex {
        let rows = self.weights.chunks_exact(self.num_experts).enumerate();
        rows.filter(|(_, weights)| weights[expert] != 0.0)
            .map(|(row, _)| row)
            .collect()
    }

    /// Returns the weight of `expert` in each of `rows`.
    pub(crate) fn weights_of(&self, expert: usize, rows: &[usize]) -> Vec<f64> {
        rows.iter()
            .map(|row| self.weights[row * self.num_experts + expert])
            .collect()
    }

    /// Turns cotangents of the weights, `[cotangent rows, experts]`, into those of the logits. Row
    /// `i` belongs to row `saved_rows[i]` of the forward pass.
    pub(crate) fn vjp(
        &self,
        dweights: &[f64],
        saved_rows: &RowIndex,
        dtype: DType,
    ) -> Result<Tensor> {
        let mut dlogits = Vec::with_capacity(dweights.len());
        for (dweights, row) in dweights
            .chunks_exact(self.num_experts)
            .zip(saved_rows.iter())
        {
            self.extend_with_row(&mut dlogits, dweights, *row);
        }
        host::upload_as(dlogits, (saved_rows.len(), self.num_experts), dtype)
    }

    /// Adds to `dlogits` the cotangents of the logits of row `row`, `[experts]`.
    fn extend_with_row(&self, dlogits: &mut Vec<f64>, dweights: &[f64], row: usize) {
        let of_row = row * self.num_experts..(row + 1) * self.num_experts;
        let weights = &self.weights[of_row.clone()];
        let pairs = || weights.iter().zip(dweights);
        let sum: f64 = pairs().map(|(w, d)| w * d).sum();
        let mean = if self.spec.sums_to_one {
            sum / self.spec.scale
        } else {
            0.0
        };
        if self.spec.is_softmax_of_chosen() {
            dlogits.extend(pairs().map(|(w, d)| w * (d - mean)));
            return;
        }
        let with_scores = pairs().zip(&self.scores[of_row]);
        match self.spec.scoring {
            Scoring::Softmax => dlogits.extend(with_scores.map(|((w, d), s)| w * d - s * sum)),
            Scoring::Sigmoid => {
                dlogits.extend(with_scores.map(|((w, d), s)| w * (1.0 - s) * (d - mean)));
            }
        }
    }
}

/// Returns the inner product of each row of `a` with row `places[i]` of `b`.
pub(crate) fn dot_rows(a: &Tensor, b: &Tensor, places: &RowIndex) -> Result<Vec<f64>> {
    match device_of([a, b]) {
        None => by_dtype!(a, T => cpu::mixture::dot_rows::<T>(a, b, places)),
        Some(device) => device::reduction::dot_rows(&a.on(device)?, &b.on(device)?, places),
    }
}

#[cfg(test)]
mod tests {
    use super::super::routing::ExpertGroups;
    use super::*;

    fn routing(spec: RoutingSpec, num_chosen: usize) -> Routing {
        Routing {
            spec,
            num_chosen,
            correction: None,
        }
    }

    fn chosen(logits: &[f64], routing: &Routing) -> ExpertChoice {
        let logits = host::upload(logits.to_vec(), (1, logits.len())).unwrap();
        choose(&logits, routing).unwrap()
    }

    #[test]
    fn the_largest_scores_are_chosen_and_weigh_one() {
        let logits = host::upload(vec![0.0_f64, 2.0, 1.0, 5.0, 5.0, -1.0], (2, 3)).unwrap();
        let choice = choose(&logits, &routing(RoutingSpec::softmax(true), 2)).unwrap();
        assert_eq!(*choice.rows_of(0), [1]);
        assert_eq!(*choice.rows_of(1), [0, 1]);
        assert_eq!(*choice.rows_of(2), [0]);
        let e = 1_f64.exp();
        let expected = e / (1.0 + e);
        assert!((choice.weights_of(1, &[0])[0] - expected).abs() < 1e-15);
        assert_eq!(choice.weights_of(0, &[1]), [0.5]);
    }

    #[test]
    fn a_correction_changes_the_choice_and_not_the_weights() {
        let corrected = Routing {
            correction: Some(vec![0.0, 0.0, 0.9]),
            ..routing(RoutingSpec::sigmoid(false, 2.5), 1)
        };
        let choice = chosen(&[1.0, 2.0, -0.5], &corrected);
        assert_eq!(*choice.rows_of(2), [0]);
        assert!(choice.rows_of(1).is_empty());
        let expected = 2.5 / (1.0 + 0.5_f64.exp());
        assert!((choice.weights_of(2, &[0])[0] - expected).abs() < 1e-15);
    }

    #[test]
    fn experts_outside_the_best_groups_are_not_chosen() {
        let logits = [3.0, -3.0, 1.0, 1.5];
        let grouped = |ranked_by| {
            let groups = Some(ExpertGroups {
                count: 2,
                chosen: 1,
                ranked_by,
            });
            let spec = RoutingSpec {
                groups,
                ..RoutingSpec::sigmoid(true, 1.0)
            };
            chosen(&logits, &routing(spec, 1))
        };
        // The first group has the best expert, the second one the better pair.
        assert_eq!(*grouped(1).rows_of(0), [0]);
        assert_eq!(*grouped(2).rows_of(3), [0]);
    }

    #[test]
    fn cotangents_are_the_slopes_of_the_weights() {
        const STEP: f64 = 1e-6;
        let logits = [0.3, -0.4, 1.1, 0.8];
        let dweights = [0.7, -1.3, 0.2, 2.0];
        for spec in [
            RoutingSpec::softmax(true),
            RoutingSpec::softmax(false),
            RoutingSpec::sigmoid(true, 2.5),
            RoutingSpec::sigmoid(false, 0.5),
        ] {
            let routing = routing(spec, 2);
            let value = |logits: &[f64]| -> f64 {
                let weights = chosen(logits, &routing).weights;
                weights.iter().zip(dweights).map(|(w, d)| w * d).sum()
            };
            let rows = RowIndex::from(vec![0]);
            let choice = chosen(&logits, &routing);
            let dlogits = choice.vjp(&dweights, &rows, DType::F64).unwrap();
            let dlogits = host::download(&dlogits).unwrap();
            for (expert, found) in dlogits.into_iter().enumerate() {
                let (mut above, mut below) = (logits, logits);
                above[expert] += STEP;
                below[expert] -= STEP;
                let slope = (value(&above) - value(&below)) / (2.0 * STEP);
                assert!((found - slope).abs() < 1e-9, "{spec:?}: {found}, {slope}");
            }
        }
    }
}
