//! `kl_divergence`: how far the prediction is from the contrast's, `Σ_v p_v (log p_v − log q_v)`,
//! in nats.
//!
//! `top_p` and `top_k` keep the tokens that are most probable under the sum of both logits, and
//! renormalize the two distributions over them. Inseq leaves the other tokens in the sum, which
//! makes it NaN; that is not reproduced. The gradient treats the set of kept tokens as constant:
//! `∂/∂z_v = p_v (log p_v − log q_v − KL)`, `∂/∂z′_v = q_v − p_v`.

use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::{Slopes, Step, StepFunction, nucleus};
use crate::Error;
use crate::aggregate::Reduction;
use crate::kernels::softmax_in_place;
use crate::registry::Describe;

/// The divergence of the two predictions.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct KlDivergence {
    /// Compare this many of the most probable tokens; all of them if 0.
    pub top_k: usize,
    /// Compare the most probable tokens that hold this share of the probability; above 0 and at
    /// most 1.
    pub top_p: f64,
    /// Compare at least this many tokens, whatever `top_p` and `top_k` say.
    pub min_tokens_to_keep: usize,
}

impl Default for KlDivergence {
    fn default() -> Self {
        Self {
            top_k: 0,
            top_p: 1.0,
            min_tokens_to_keep: 1,
        }
    }
}

impl Describe for KlDivergence {
    const NAME: &'static str = "kl_divergence";
    const SUMMARY: &'static str =
        "divergence of the contrast's prediction from the model's, in nats";
}

/// The two distributions over the compared tokens.
struct Compared {
    tokens: Vec<usize>,
    p: Vec<f64>,
    /// `log p − log q` of each compared token.
    log_ratios: Vec<f64>,
    q: Vec<f64>,
}

impl Compared {
    fn divergence(&self) -> f64 {
        let terms = self.p.iter().zip(&self.log_ratios);
        terms
            .filter(|(p, _)| **p > 0.0)
            .map(|(p, ratio)| p * ratio)
            .sum()
    }
}

impl KlDivergence {
    fn compare(&self, step: &Step<'_>) -> Compared {
        let (own, contrast) = (step.prediction(), step.contrast());
        let tokens = self.kept(own.logits(), contrast.logits());
        let over_kept = |logits: &[f64]| {
            let kept: Vec<_> = tokens.iter().map(|&token| logits[token]).collect();
            let mut probabilities = kept.clone();
            softmax_in_place(&mut probabilities);
            let normalizer = log_sum_exp(&kept);
            let logs: Vec<_> = kept.iter().map(|z| z - normalizer).collect();
            (probabilities, logs)
        };
        let ((p, log_p), (q, log_q)) = (over_kept(own.logits()), over_kept(contrast.logits()));
        Compared {
            log_ratios: log_p.iter().zip(log_q).map(|(p, q)| p - q).collect(),
            tokens,
            p,
            q,
        }
    }

    /// Returns the tokens to compare.
    fn kept(&self, own: &[f64], contrast: &[f64]) -> Vec<usize> {
        let mut both: Vec<_> = own.iter().zip(contrast).map(|(a, b)| a + b).collect();
        softmax_in_place(&mut both);
        let mut kept: Vec<_> = (0..both.len()).collect();
        if self.top_p < 1.0 {
            kept = nucleus::top_p(&both, self.top_p, self.min_tokens_to_keep);
        }
        if self.top_k > 0 {
            kept = nucleus::top_k(&both, &kept, self.top_k.max(self.min_tokens_to_keep));
        }
        kept.sort_unstable();
        kept
    }
}

fn log_sum_exp(logits: &[f64]) -> f64 {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|z| (z - largest).exp()).sum();
    sum.ln() + largest
}

impl StepFunction for KlDivergence {
    fn value(&self, step: &Step<'_>) -> f64 {
        self.compare(step).divergence()
    }

    fn add_gradient(&self, step: &Step<'_>, slopes: &mut Slopes) {
        let compared = self.compare(step);
        let divergence = compared.divergence();
        for (index, &token) in compared.tokens.iter().enumerate() {
            let (p, q) = (compared.p[index], compared.q[index]);
            if p > 0.0 {
                slopes.logits()[token] += p * (compared.log_ratios[index] - divergence);
            }
            slopes.contrast_logits()[token] += q - p;
        }
    }

    fn is_contrastive(&self) -> bool {
        true
    }

    /// A prediction has no divergence from itself, so the contrast must have its own.
    fn needs_own_contrast(&self) -> bool {
        true
    }

    fn merged_by(&self, _: Compat) -> Reduction {
        Reduction::Sum
    }

    fn validate(&self) -> Result<(), Error> {
        nucleus::check_top_p(Self::NAME, self.top_p)
    }
}
