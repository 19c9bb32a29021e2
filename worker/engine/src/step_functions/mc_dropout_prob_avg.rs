//! `mc_dropout_prob_avg`: the probability of the produced token, averaged over passes with dropout.
//!
//! `mean_i p̂_i`, with `p̂_i` the probability in a pass whose values are dropped as in training; with
//! `logprob` of the logarithms. Source: Gal and Ghahramani 2016, <https://arxiv.org/abs/1506.02142>.
//! Inseq, and `compat = inseq-0.7.1`, returns how far the probability without dropout is from that
//! average in standard deviations, `(p_y − mean p̂) / std p̂`, and leaves its model dropping values.
//!
//! Cost: `n_mcd_steps` forward passes for the batch; a pass serves every step.

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
    /// Take natural logarithms.
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

impl StepFunction for McDropoutProbAvg {
    fn value(&self, step: &Step<'_>) -> f64 {
        let own = |log: &f64| if self.logprob { *log } else { log.exp() };
        let dropped = step.dropped().iter().take(self.n_mcd_steps);
        let dropped: Vec<_> = dropped.map(own).collect();
        let count = dropped.len() as f64;
        let mean = dropped.iter().sum::<f64>() / count;
        match step.compat {
            Compat::None => mean,
            Compat::Inseq071 => {
                let squares = dropped.iter().map(|p| (p - mean).powi(2));
                let deviation = (squares.sum::<f64>() / (count - 1.0)).sqrt();
                let value = step.prediction().log_probability(step.target);
                (own(&value) - mean) / deviation
            }
        }
    }

    fn add_gradient(&self, _: &Step<'_>, _: &mut Slopes) {}

    fn is_differentiable(&self) -> bool {
        false
    }

    fn dropout_passes(&self) -> usize {
        self.n_mcd_steps
    }

    fn merged_by(&self, compat: Compat) -> Reduction {
        super::probabilities_merged_by(self.logprob, compat)
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
