//! `log p_y − log q_{y′}`: several contrastive functions are this value times a constant factor.

use super::{Slopes, Step};

/// Returns the difference of the two tokens' log-probabilities.
pub(super) fn value(step: &Step<'_>) -> f64 {
    let own = step.prediction().log_probability(step.target);
    own - step.contrast().log_probability(step.contrast_target())
}

/// Adds `factor` times the gradient of [`value`] to `slopes`.
pub(super) fn add_gradient(step: &Step<'_>, factor: f64, slopes: &mut Slopes) {
    let prediction = step.prediction();
    prediction.add_log_probability_slope(step.target, factor, slopes.logits());
    let contrast = step.contrast();
    contrast.add_log_probability_slope(step.contrast_target(), -factor, slopes.contrast_logits());
}
