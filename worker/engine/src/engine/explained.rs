//! What became of an instance: its steps, and the scores of its tokens for each other.

use crate::sides::Side;
use crate::{SequenceScores, StepAttribution};

/// What became of an instance, or of some of its steps.
#[derive(Debug, Default)]
pub(super) struct Explained {
    pub(super) steps: Vec<StepAttribution>,
    pub(super) sequence_scores: Vec<SequenceScores>,
}

impl Explained {
    /// Puts what became of later steps behind these. The encoder's scores are the same for all.
    pub(super) fn followed_by(mut self, next: Self) -> Self {
        self.steps.extend(next.steps);
        for (scores, next) in self.sequence_scores.iter_mut().zip(next.sequence_scores) {
            if scores.side == Side::Target {
                scores.columns.extend(next.columns);
            }
        }
        self
    }
}
