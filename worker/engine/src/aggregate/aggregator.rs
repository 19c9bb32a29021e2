//! The trait of pipeline stages that need the whole attribution, and the context they get.

use whence_schemas::Compat;

use crate::kernels::reduction::Reduction;
use crate::sides::Side;
use crate::{Attribution, Error, Token};

/// A stage that needs the whole attribution.
pub trait Aggregator: std::fmt::Debug + Send + Sync {
    /// Aggregates `attribution`. Fails if it does not have the shape the stage needs.
    fn aggregate(
        &self,
        attribution: Attribution,
        context: &Context<'_>,
    ) -> Result<Attribution, Error>;

    /// Fails if a parameter has a value the stage cannot use.
    fn validate(&self, _: Defaults) -> Result<(), Error> {
        Ok(())
    }

    /// Returns whether the stage reads columns of the dataset.
    fn reads_columns(&self) -> bool {
        false
    }
}

/// Defaults for parameters that a stage leaves unset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defaults {
    /// How `scores` reduces an axis.
    pub reduction: Reduction,
    /// Whether `scores` normalizes.
    pub normalize: bool,
    /// Whether Inseq's rules apply where they have a defect.
    pub compat: Compat,
}

/// What a stage may need to know about the run besides its scores.
pub struct Context<'a> {
    /// Name of each step score, and how its values are merged when tokens are merged.
    pub step_scores: &'a [(String, Reduction)],
    /// Returns whether a token of a side is special, such as an end token.
    pub is_special: &'a dyn Fn(Side, &Token) -> bool,
    /// The text that the offsets of source tokens count in, if it is known. That of target tokens
    /// is [`Attribution::generated_text`].
    pub source_text: Option<&'a str>,
    /// Returns the value of a dataset column; `None` while a job computes, which has no columns at
    /// hand.
    pub column: Option<&'a dyn Fn(&str) -> ColumnValue>,
    /// Defaults for parameters that stages leave unset.
    pub defaults: Defaults,
}

/// What a dataset column holds for one example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnValue {
    /// The table does not have the column.
    Missing,
    /// The example has no value.
    Null,
    /// The value: a text, or JSON if it is not one.
    Text(String),
}
