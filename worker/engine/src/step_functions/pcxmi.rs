//! `pcxmi`: pointwise cross-mutual information, `−log₂(p_y / q_{y′})`, in bits.
//!
//! The sign is Inseq's: negative if the example makes its token more probable than the contrast
//! makes the contrast's token. Source: Fernandes et al. 2021, <https://arxiv.org/abs/2105.03482>.

use std::f64::consts::LN_2;

use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::{Slopes, Step, StepFunction, log_ratio};
use crate::aggregate::Reduction;
use crate::registry::Describe;

/// The pointwise cross-mutual information.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Pcxmi {}

impl Describe for Pcxmi {
    const NAME: &'static str = "pcxmi";
    const SUMMARY: &'static str =
        "bits by which the contrast's token is likelier than the produced one";
}

impl StepFunction for Pcxmi {
    fn value(&self, step: &Step<'_>) -> f64 {
        -log_ratio::value(step) / LN_2
    }

    fn add_gradient(&self, step: &Step<'_>, slopes: &mut Slopes) {
        log_ratio::add_gradient(step, -1.0 / LN_2, slopes);
    }

    fn is_contrastive(&self) -> bool {
        true
    }

    fn merged_by(&self, _: Compat) -> Reduction {
        Reduction::Sum
    }
}
