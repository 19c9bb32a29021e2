//! `rescale`: divides all scores by the largest absolute value of the example.
//!
//! This is what `scores` with `rescale` does after reducing. It is a stage of its own for methods
//! such as `occlusion`, which return one score per token to begin with.

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
