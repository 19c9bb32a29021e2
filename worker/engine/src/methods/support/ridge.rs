//! Weighted ridge regression with an intercept, in double precision.
//!
//! Minimizes `Σ_i w_i (y_i − β₀ − φ_i · β)² + ‖β‖²`. Let A have the rows `√w_i (φ_i − φ̄)` and z
//! the entries `√w_i (y_i − ȳ)`, centered on their weighted means. Then `β = Aᵀ (A Aᵀ + I)⁻¹ z`.
//! The system has as many equations as there are samples, however many features they have. It is
//! positive definite and solved by Cholesky decomposition.

use crate::error::Result;
use crate::stop::Stop;

/// The samples that a regression is fitted to.
#[derive(Debug)]
pub(in crate::methods) struct Samples {
    /// Features of every sample, one after another.
    pub(in crate::methods) features: Vec<f64>,
    /// Value of every sample.
    pub(in crate::methods) values: Vec<f64>,
    /// Weight of every sample, not negative.
    pub(in crate::methods) weights: Vec<f64>,
}

impl Samples {
    /// Returns the coefficient of every feature; all zero if all weights are zero.
    ///
    /// Fails once `stop` is requested: the time grows with the cube of the number of samples.
    pub(in crate::methods) fn coefficients(&self, stop: &Stop) -> Result<Vec<f64>> {
        let num_samples = self.values.len();
        let num_features = self.features.len() / num_samples.max(1);
        let sum: f64 = self.weights.iter().sum();
        if sum == 0.0 || num_features == 0 {
            return Ok(vec![0.0; num_features]);
        }
        let rows = || self.features.chunks_exact(num_features);
        let mut centre = vec![0.0; num_features];
        for (row, weight) in rows().zip(&self.weights) {
            for (centre, feature) in centre.iter_mut().zip(row) {
                *centre += weight / sum * feature;
            }
        }
        let values = self.values.iter().zip(&self.weights);
        let mean: f64 = values.map(|(value, weight)| weight / sum * value).sum();

        let mut centered = Vec::with_capacity(self.features.len());
        let mut residuals = Vec::with_capacity(num_samples);
        for ((row, value), weight) in rows().zip(&self.values).zip(&self.weights) {
            let root = weight.sqrt();
            centered.extend(row.iter().zip(&centre).map(|(f, c)| root * (f - c)));
            residuals.push(root * (value - mean));
        }
        let row = |index: usize| &centered[index * num_features..][..num_features];
        let mut gram = vec![0.0; num_samples * num_samples];
        for i in 0..num_samples {
            stop.check()?;
            for j in 0..=i {
                let ridge = if i == j { 1.0 } else { 0.0 };
                gram[i * num_samples + j] = ridge + dot(row(i), row(j));
            }
        }
        solve(&mut gram, &mut residuals, stop)?;
        let mut coefficients = vec![0.0; num_features];
        for (index, factor) in residuals.iter().enumerate() {
            for (coefficient, feature) in coefficients.iter_mut().zip(row(index)) {
                *coefficient += factor * feature;
            }
        }
        Ok(coefficients)
    }
}

/// Solves `G x = b` for x, in place of b. G is symmetric and positive definite. Only its lower half
/// is read; it is overwritten by the Cholesky factor. Fails once `stop` is requested.
fn solve(gram: &mut [f64], b: &mut [f64], stop: &Stop) -> Result<()> {
    let n = b.len();
    for i in 0..n {
        stop.check()?;
        for j in 0..=i {
            let (of_i, of_j) = (&gram[i * n..][..j], &gram[j * n..][..j]);
            let rest = gram[i * n + j] - dot(of_i, of_j);
            gram[i * n + j] = if i == j {
                rest.sqrt()
            } else {
                rest / gram[j * n + j]
            };
        }
    }
    for i in 0..n {
        b[i] = (b[i] - dot(&gram[i * n..][..i], &b[..i])) / gram[i * n + i];
    }
    for i in (0..n).rev() {
        let above: f64 = (i + 1..n).map(|j| gram[j * n + i] * b[j]).sum();
        b[i] = (b[i] - above) / gram[i * n + i];
    }
    Ok(())
}

/// Returns the inner product. It is summed in a fixed number of lanes, so that the result does not
/// depend on the machine's vector width.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut lanes = [0.0; LANES];
    let whole = a.len() / LANES * LANES;
    for (a, b) in a[..whole]
        .chunks_exact(LANES)
        .zip(b[..whole].chunks_exact(LANES))
    {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    let rest = a[whole..].iter().zip(&b[whole..]).map(|(a, b)| a * b);
    lanes.iter().sum::<f64>() + rest.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_heard_while_a_regression_is_solved() {
        let stop = Stop::default();
        stop.request();
        let samples = Samples {
            features: vec![1.0, 0.0],
            values: vec![0.5, 1.0],
            weights: vec![1.0, 1.0],
        };
        assert!(samples.coefficients(&Stop::default()).is_ok());
        assert!(samples.coefficients(&stop).is_err());
    }

    /// At the minimum the gradient `2 Aᵀ (A β − z) + 2 β` is zero.
    #[test]
    fn coefficients_are_where_the_loss_is_flat() {
        let samples = Samples {
            features: vec![
                1.0, 2.0, -1.0, 0.5, 0.25, 3.0, 2.0, -2.0, 1.5, 0.0, 1.0, 1.0,
            ],
            values: vec![0.3, -1.0, 2.0, 0.7],
            weights: vec![1.0, 2.0, 0.5, 3.0],
        };
        let coefficients = samples.coefficients(&Stop::default()).unwrap();
        let sum: f64 = samples.weights.iter().sum();
        let predict = |row: &[f64]| dot(row, &coefficients);
        let rows: Vec<_> = samples.features.chunks_exact(3).collect();
        let weighted = rows.iter().zip(&samples.values).zip(&samples.weights);
        let intercept = weighted
            .clone()
            .map(|((row, y), w)| w * (y - predict(row)) / sum)
            .sum::<f64>();
        for feature in 0..3 {
            let slope: f64 = weighted
                .clone()
                .map(|((row, y), w)| w * (intercept + predict(row) - y) * row[feature])
                .sum();
            assert!((slope + coefficients[feature]).abs() < 1e-12, "{slope}");
        }
    }
}
