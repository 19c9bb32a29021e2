//! The result of explaining an instance: its steps and its sequence scores.

use crate::sides::Side;
use crate::{SequenceScores, StepAttribution};

/// The result of explaining an instance, or some of its steps.
#[derive(Debug, Default)]
pub(super) struct Explained {
    pub(super) steps: Vec<StepAttribution>,
    pub(super) sequence_scores: Vec<SequenceScores>,
}

impl Explained {
    /// Appends the results of later steps. The encoder's sequence scores are the same in both and
    /// kept once.
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
