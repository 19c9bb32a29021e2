//! One step to explain: which row of the model predicts which token.

use crate::model::ExplainedToken;

/// A step to explain: the row whose logits predict a token, and the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExplainedStep {
    /// The predicting row.
    pub(crate) explained: ExplainedToken,
    /// The produced token.
    pub(crate) token: u32,
    /// Number of source rows of its sequence.
    pub(crate) source_rows: usize,
    /// What the token is contrasted with.
    pub(crate) contrast: Option<ContrastStep>,
}

/// What a step is contrasted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ContrastStep {
    /// The contrast's token.
    pub(crate) token: u32,
    /// The row of `AttributedFunction::contrast` that predicts it.
    pub(crate) row: usize,
    /// Position, in the contrast's target, of the row that predicts it.
    pub(crate) position: usize,
}

impl ExplainedStep {
    /// Returns how many target rows the step depends on: all up to and including the predicting
    /// row.
    pub(crate) fn target_rows(&self) -> usize {
        self.explained.position + 1
    }

    /// Returns how many rows its backward pass carries: the source and the prefix.
    pub(crate) fn rows(&self) -> usize {
        self.source_rows + self.target_rows()
    }
}
