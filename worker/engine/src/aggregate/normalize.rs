//! `normalize`: divides each step's scores by the sum of their absolute values over both sides.
//!
//! This is what `scores` does by default after reducing. It is a stage of its own for scores that
//! are already one per token, such as those of a stored table or of `occlusion`.

use serde::{Deserialize, Serialize};

use super::cells::Cells;
use super::scores::normalize;
use super::{Aggregator, Context, Stage};
use crate::registry::Describe;
use crate::{Attribution, Error, StepAttribution};

/// Divides each step's scores by the sum of their absolute values.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Normalize {}

impl Describe for Normalize {
    const NAME: &'static str = "normalize";
    const SUMMARY: &'static str = "divides each step's scores by the sum of their absolute values";
}

impl From<Normalize> for Stage {
    fn from(stage: Normalize) -> Self {
        Self::Whole(Box::new(stage))
    }
}

impl Aggregator for Normalize {
    fn aggregate(&self, attribution: Attribution, _: &Context<'_>) -> Result<Attribution, Error> {
        let normalized = |step: StepAttribution| {
            let mut sides =
                [&step.source, &step.target].map(|side| side.as_ref().map(Cells::from_rows));
            normalize(&mut sides);
            let [source, target] = sides.map(|side| side.map(Cells::into_rows));
            StepAttribution {
                source,
                target,
                ..step
            }
        };
        Ok(Attribution {
            steps: attribution.steps.into_iter().map(normalized).collect(),
            ..attribution
        })
    }
}
