//! Mixtures of experts: which experts a row chooses, and how their outputs are mixed.

use candle_core::DType;

use super::cpu::{self, by_dtype};
use super::device;
use super::host;
use super::row_index::RowIndex;
use super::tensor::{Tensor, device_of};
use crate::error::Result;

/// Which experts each row chose, and with what weight.
#[derive(Debug, Clone)]
pub(crate) struct ExpertChoice {
    /// Weight of each expert; 0 for those that were not chosen. `[rows, experts]`
    weights: Vec<f64>,
    num_experts: usize,
}

/// Chooses for each row of `scores`, `[rows, experts]`, the `num_chosen` experts with the largest
/// scores, the first of equal ones, and weighs them by the softmax of those scores.
pub(crate) fn choose(scores: &Tensor, num_chosen: usize) -> Result<ExpertChoice> {
    let (_, num_experts) = scores.dims2()?;
    // Rows are given to experts on the host, so it has to know the choice anyway.
    let scores = &scores.in_memory()?;
    Ok(ExpertChoice {
        weights: by_dtype!(scores, T => cpu::mixture::choose::<T>(scores, num_chosen))?,
        num_experts,
    })
}

impl ExpertChoice {
    /// Returns the rows that chose `expert`, ascending.
    pub(crate) fn rows_of(&self, expert: usize) -> RowIndex {
        let rows = self.weights.chunks_exact(self.num_experts).enumerate();
        rows.filter(|(_, weights)| weights[expert] > 0.0)
            .map(|(row, _)| row)
            .collect()
    }

    /// Returns the weight of `expert` in each of `rows`.
    pub(crate) fn weights_of(&self, expert: usize, rows: &[usize]) -> Vec<f64> {
        rows.iter()
            .map(|row| self.weights[row * self.num_experts + expert])
            .collect()
    }

    /// Turns cotangents of the weights, `[cotangent rows, experts]`, into those of the scores. Row `i`
    /// belongs to row `saved_rows[i]` of the forward pass.
    pub(crate) fn vjp(
        &self,
        dweights: &[f64],
        saved_rows: &RowIndex,
        dtype: DType,
    ) -> Result<Tensor> {
        let mut dscores = Vec::with_capacity(dweights.len());
        for (dweights, row) in dweights
            .chunks_exact(self.num_experts)
            .zip(saved_rows.iter())
        {
            let weights = &self.weights[row * self.num_experts..][..self.num_experts];
            let mean: f64 = weights.iter().zip(dweights).map(|(w, d)| w * d).sum();
            dscores.extend(weights.iter().zip(dweights).map(|(w, d)| w * (d - mean)));
        }
        host::upload_as(dscores, (saved_rows.len(), self.num_experts), dtype)
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
    use super::*;

    #[test]
    fn the_largest_scores_are_chosen_and_weigh_one() {
        let scores = host::upload(vec![0.0_f64, 2.0, 1.0, 5.0, 5.0, -1.0], (2, 3)).unwrap();
        let choice = choose(&scores, 2).unwrap();
        assert_eq!(*choice.rows_of(0), [1]);
        assert_eq!(*choice.rows_of(1), [0, 1]);
        assert_eq!(*choice.rows_of(2), [0]);
        let e = 1_f64.exp();
        let expected = e / (1.0 + e);
        assert!((choice.weights_of(1, &[0])[0] - expected).abs() < 1e-15);
        assert_eq!(choice.weights_of(0, &[1]), [0.5]);
    }
}
