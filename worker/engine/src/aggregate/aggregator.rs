//! What a stage of a pipeline must answer that sees a whole attribution, and what it is told.

use whence_schemas::Compat;

use crate::kernels::reduction::Reduction;
use crate::sides::Side;
use crate::{Attribution, Error};

/// A stage that sees the whole attribution.
pub trait Aggregator: std::fmt::Debug + Send + Sync {
    /// Aggregates. Fails if the attribution has not the shape the stage needs.
    fn aggregate(
        &self,
        attribution: Attribution,
        context: &Context<'_>,
    ) -> Result<Attribution, Error>;

    /// Fails if a parameter has a value the stage cannot use.
    fn validate(&self, _: Defaults) -> Result<(), Error> {
        Ok(())
    }
}

/// What a stage does where its parameters do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defaults {
    /// How `scores` reduces an axis.
    pub reduction: Reduction,
    /// Whether `scores` normalizes.
    pub normalize: bool,
    /// Whose rules count where Inseq's have a defect.
    pub compat: Compat,
}

/// What a stage may want to know of the run besides its scores.
pub struct Context<'a> {
    /// Name and merging function of each step score.
    pub step_scores: &'a [(String, Reduction)],
    /// Says of a side's token whether it has a meaning of its own.
    pub is_special: &'a dyn Fn(Side, u32) -> bool,
    /// What stages do where their parameters do not say.
    pub defaults: Defaults,
}
