//! One stage of a pipeline: it runs either on each step as scores are computed, or on the whole
//! attribution.

use super::aggregator::Aggregator;
use super::scores::Scores;

/// One stage of a pipeline.
#[derive(Debug)]
pub enum Stage {
    /// Needs only the scores of one step at a time.
    StepWise(Scores),
    /// Needs the whole attribution.
    Whole(Box<dyn Aggregator>),
}

impl From<Scores> for Stage {
    fn from(scores: Scores) -> Self {
        if scores.rescales() {
            Self::Whole(Box::new(scores))
        } else {
            Self::StepWise(scores)
        }
    }
}
