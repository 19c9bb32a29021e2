//! One stage of a pipeline: it runs on each step as scores are computed, on the whole attribution,
//! or on two attributions.

use super::aggregator::Aggregator;
use super::pair::Pair;
use super::scores::Scores;

/// One stage of a pipeline.
#[derive(Debug)]
pub enum Stage {
    /// Needs only the scores of one step at a time.
    StepWise(Scores),
    /// Needs the whole attribution.
    Whole(Box<dyn Aggregator>),
    /// Needs a second attribution.
    Paired(Pair),
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

impl From<Pair> for Stage {
    fn from(pair: Pair) -> Self {
        Self::Paired(pair)
    }
}
