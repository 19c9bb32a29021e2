//! `rescale`: divides all scores by the largest absolute value of the example.
//!
//! What `scores` does after reducing with `rescale`, for methods whose scores are one per token from
//! the start, such as `occlusion`.

use serde::{Deserialize, Serialize};

use super::scores::rescale;
use super::{Aggregator, Context, Stage};
use crate::registry::Describe;
use crate::{Attribution, Error};

/// Divides all scores by the largest absolute value of the example.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Rescale {}

impl Describe for Rescale {
    const NAME: &'static str = "rescale";
    const SUMMARY: &'static str = "divides all scores by the largest absolute value";
}

impl From<Rescale> for Stage {
    fn from(stage: Rescale) -> Self {
        Self::Whole(Box::new(stage))
    }
}

impl Aggregator for Rescale {
    fn aggregate(
        &self,
        mut attribution: Attribution,
        _: &Context<'_>,
    ) -> Result<Attribution, Error> {
        rescale(&mut attribution);
        Ok(attribution)
    }
}
