//! `mc_dropout_prob_avg`: the probability of the produced token, averaged over passes with dropout.
//!
//! `mean_i p̂_i`, where `p̂_i` is the probability in pass `i`, which drops values as in training;
//! with `logprob` it is the log-probability. Source: Gal and Ghahramani 2016,
//! <https://arxiv.org/abs/1506.02142>. Inseq, and `compat = inseq-0.7.1`, instead returns how many
//! standard deviations the probability without dropout is above that average,
//! `(p_y − mean p̂) / std p̂`. Inseq also leaves dropout on in its model afterward.
//!
//! Cost: `n_mcd_steps` forward passes for the batch; each pass serves every step.

use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::{Slopes, Step, StepFunction};
use crate::Error;
use crate::aggregate::Reduction;
use crate::registry::Describe;

/// The probability of the produced token, averaged over passes with dropout.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct McDropoutProbAvg {
    /// Number of passes with dropout.
    pub n_mcd_steps: usize,
    /// Average natural log-probabilities instead of probabilities.
    pub logprob: bool,
}

impl Default for McDropoutProbAvg {
    fn default() -> Self {
        Self {
            n_mcd_steps: 5,
            logprob: false,
        }
    }
}

impl Describe for McDropoutProbAvg {
    const NAME: &'static str = "mc_dropout_prob_avg";
    const SUMMARY: &'static str =
        "probability of the produced token averaged over passes with dropout";
}

impl McDropoutProbAvg {
    /// Returns the quantity that is averaged, for a given log-probability, and its derivative.
    fn own(&self, log_probability: f64) -> (f64, f64) {
        if self.logprob {
            (log_probability, 1.0)
        } else {
            (log_probability.exp(), log_probability.exp())
        }
    }

    /// Returns the average over the passes and their sample standard deviation.
    fn moments(&self, step: &Step<'_>) -> (f64, f64) {
        let passes = &step.dropped()[..self.n_mcd_steps];
        let values = passes.iter().map(|log| self.own(*log).0);
        let count = passes.len() as f64;
        let mean = values.clone().sum::<f64>() / count;
        let squares = values.map(|p| (p - mean).powi(2));
        (mean, (squares.sum::<f64>() / (count - 1.0)).sqrt())
    }
}

impl StepFunction for McDropoutProbAvg {
    fn value(&self, step: &Step<'_>) -> f64 {
        let (mean, deviation) = self.moments(step);
        match step.compat {
            Compat::None => mean,
            Compat::Inseq071 => {
                let (value, _) = self.own(step.prediction().log_probability(step.target));
                (value - mean) / deviation
            }
        }
    }

    /// Inseq's value is z = (p − m) / s over n passes p̂ᵢ, with `∂m/∂p̂ᵢ = 1 / n` and
    /// `∂s/∂p̂ᵢ = (p̂ᵢ − m) / ((n − 1) s)`.
    fn add_gradient(&self, step: &Step<'_>, slopes: &mut Slopes) {
        let (mean, deviation) = self.moments(step);
        let count = self.n_mcd_steps as f64;
        let prediction = step.prediction();
        let (value, slope) = self.own(prediction.log_probability(step.target));
        if step.compat == Compat::Inseq071 {
            let factor = slope / deviation;
            prediction.add_log_probability_slope(step.target, factor, slopes.logits());
        }
        let passes = step.dropped()[..self.n_mcd_steps].iter();
        for (out, log) in slopes.dropped().iter_mut().zip(passes) {
            let (dropped, slope) = self.own(*log);
            *out += slope
                * match step.compat {
                    Compat::None => 1.0 / count,
                    Compat::Inseq071 => {
                        let of_deviation = (dropped - mean) / ((count - 1.0) * deviation);
                        -1.0 / (count * deviation)
                            - (value - mean) / deviation.powi(2) * of_deviation
                    }
                };
        }
    }

    fn dropout_passes(&self) -> usize {
        self.n_mcd_steps
    }

    fn merged_by(&self, compat: Compat) -> Reduction {
        super::step_function::probabilities_merged_by(self.logprob, compat)
    }

    fn validate(&self) -> Result<(), Error> {
        if self.n_mcd_steps > 0 {
            return Ok(());
        }
        Err(Error::Parameters {
            what: "step function",
            name: Self::NAME.to_owned(),
            reason: "`n_mcd_steps` is 0, an average needs a pass".to_owned(),
        })
    }
}
