//! `weight_attributions`: multiplies each generated token's scores by one of its step scores, for
//! example so that tokens the model was sure of weigh more.

use serde::{Deserialize, Serialize};

use super::{Aggregator, Context, Stage};
use crate::registry::Describe;
use crate::{Attribution, Error};

/// Multiplies scores by a step score.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WeightAttributions {
    /// Name of the step score. The job must record it.
    step_score: String,
}

impl Default for WeightAttributions {
    fn default() -> Self {
        Self {
            step_score: "probability".to_owned(),
        }
    }
}

impl Describe for WeightAttributions {
    const NAME: &'static str = "weight_attributions";
    const SUMMARY: &'static str = "multiplies each generated token's scores by a step score";
}

impl From<WeightAttributions> for Stage {
    fn from(weight: WeightAttributions) -> Self {
        Self::Whole(Box::new(weight))
    }
}

impl Aggregator for WeightAttributions {
    fn aggregate(
        &self,
        mut attribution: Attribution,
        context: &Context<'_>,
    ) -> Result<Attribution, Error> {
        let mut names = context.step_scores.iter().map(|(name, _)| name);
        let Some(index) = names.position(|name| *name == self.step_score) else {
            return Err(Error::Specification {
                reason: format!(
                    "`weight_attributions` needs the step score `{0}`; add `{0}` to `step_scores`",
                    self.step_score
                ),
            });
        };
        for step in &mut attribution.steps {
            let weight = step.step_scores[index];
            for rows in [&mut step.source, &mut step.target].into_iter().flatten() {
                rows.values.iter_mut().for_each(|value| *value *= weight);
            }
        }
        Ok(attribution)
    }
}
