//! One stage of a pipeline: taken step by step as scores are made, or over the whole attribution.

use super::aggregator::Aggregator;
use super::scores::Scores;

/// One stage of a pipeline.
#[derive(Debug)]
pub enum Stage {
    /// Needs the scores of one step at a time.
    StepWise(Scores),
    /// Needs all of them.
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
