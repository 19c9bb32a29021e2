//! Scores on their way through a pipeline: of one step, or among the tokens of one stack.

use crate::ScoreRows;
use crate::kernels::Tensor;
use crate::sides::Side;

/// The raw scores of one step. Both sides are `[tokens, …]`, with the same dimensions after the
/// first.
#[derive(Debug)]
pub struct RawScores {
    /// One row per source token; `None` for decoder-only models.
    pub source: Option<Tensor>,
    /// One row per prefix token; `None` if the prefix was not attributed.
    pub target: Option<Tensor>,
}

/// The raw scores of the tokens of one stack for each other.
#[derive(Debug)]
pub struct RawSequenceScores {
    /// Inseq's name for them.
    pub name: &'static str,
    /// The side whose tokens are both the rows and the columns.
    pub side: Side,
    /// Like [`crate::SequenceScores::columns`]: one tensor `[tokens, …]` per column, all with the same
    /// dimensions after the first.
    pub columns: Vec<Tensor>,
}

/// The scores of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepScores {
    /// One row per source token; `None` for decoder-only models.
    pub source: Option<ScoreRows>,
    /// One row per prefix token; `None` if the prefix was not attributed.
    pub target: Option<ScoreRows>,
}
