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
    /// Its row of `AttributedFunction::contrast`.
    pub(crate) row: usize,
    /// Position of the row that predicts it in the contrast's target.
    pub(crate) position: usize,
}

impl ExplainedStep {
    pub(crate) fn target_rows(&self) -> usize {
        self.explained.position + 1
    }

    /// Returns how many rows its backward pass carries.
    pub(crate) fn rows(&self) -> usize {
        self.source_rows + self.target_rows()
    }
}
