//! Joins two runs over the same tokens: the first gets the step scores of the second.

use whence_engine::Attribution;
use whence_schemas::{AttributionSpec, RowError};

use crate::Failure;

/// How many scores of each run come from its step functions. The method's own follow them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Join {
    first: usize,
    second: usize,
}

impl Join {
    /// Adds the step scores of `second` to `spec`. Fails if both record a score of the same name.
    pub(super) fn of(
        spec: &mut AttributionSpec,
        second: &AttributionSpec,
    ) -> Result<Self, Failure> {
        let join = Self {
            first: spec.step_scores.len(),
            second: second.step_scores.len(),
        };
        let names = spec.step_score_labels();
        let added = second.step_score_labels();
        if let Some(twice) = added.iter().find(|name| names.contains(name)) {
            return Err(Failure::request(format!(
                "both runs record the step score `{twice}`, so it cannot be added"
            )));
        }
        if added.is_empty() {
            return Err(Failure::request(
                "the run of --join records no step scores, so there is nothing to add",
            ));
        }
        spec.step_scores.extend(second.step_scores.iter().cloned());
        spec.method_scores
            .extend(second.method_scores.iter().cloned());
        Ok(join)
    }

    /// Adds the step scores of `second` to `first`, in the order of the joined specification. Fails
    /// if the two do not have the same tokens.
    pub(super) fn apply(
        self,
        mut first: Attribution,
        second: &Attribution,
    ) -> Result<Attribution, RowError> {
        let texts = |attribution: &Attribution| -> Vec<String> {
            let tokens = attribution.target.iter();
            tokens.map(|token| token.text.clone()).collect()
        };
        let is_same = first.attr_pos_start == second.attr_pos_start
            && first.attr_pos_end == second.attr_pos_end
            && texts(&first) == texts(second);
        if !is_same {
            return Err(RowError::new(
                "unpaired",
                "the run of --join has other tokens for this example",
            ));
        }
        for (step, other) in first.steps.iter_mut().zip(&second.steps) {
            let own = step.step_scores.split_off(self.first);
            let (functions, of_method) = other.step_scores.split_at(self.second);
            step.step_scores.extend(functions);
            step.step_scores.extend(own);
            step.step_scores.extend(of_method);
        }
        Ok(first)
    }
}
