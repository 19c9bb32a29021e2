//! `in_context_pvi`: pointwise V-information in context, `−log p_y + log q_{y′}`, in nats.
//!
//! The same quantity as `pcxmi`, in another unit. Source: Lu et al. 2023,
//! <https://arxiv.org/abs/2310.12300>.

use serde::{Deserialize, Serialize};

use super::{Slopes, Step, StepFunction, log_ratio};
use crate::registry::Describe;

/// The pointwise V-information.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct InContextPvi {}

impl Describe for InContextPvi {
    const NAME: &'static str = "in_context_pvi";
    const SUMMARY: &'static str =
        "nats by which the contrast's token is likelier than the produced one";
}

impl StepFunction for InContextPvi {
    fn value(&self, step: &Step<'_>) -> f64 {
        -log_ratio::value(step)
    }

    fn add_gradient(&self, step: &Step<'_>, slopes: &mut Slopes) {
        log_ratio::add_gradient(step, -1.0, slopes);
    }

    fn is_contrastive(&self) -> bool {
        true
    }
}
