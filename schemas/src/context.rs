//! What a job computes that asks which output tokens depend on a context (PECoRe).
//!
//! Such a job has a [`ContextOptions`] beside its attribution. The attribution says how
//! context-sensitive tokens are attributed; the options say which tokens are context-sensitive,
//! where the contexts go, and which of their tokens are cues.

use serde::{Deserialize, Serialize};

use crate::FunctionSpec;

/// How context-sensitive tokens and their cues are found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextOptions {
    /// The contrastive step function that says how much a token depends on the context.
    pub metric: FunctionSpec,
    /// Where contexts and current texts go.
    #[serde(default, skip_serializing_if = "ContextTemplates::is_default")]
    pub templates: ContextTemplates,
    /// What a decoder-only model reads between input and output.
    #[serde(default = "blank")]
    pub separator: String,
    /// How a generated output is split into its context and the current text.
    pub strategy: OutputContextStrategy,
    /// Special tokens that stay in generated outputs, and count as tokens of the texts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub special_tokens_to_keep: Vec<String>,
    /// Which tokens of the output count as context-sensitive.
    pub sensitivity: Selection,
    /// Which tokens of the contexts count as cues.
    pub cues: Selection,
}

/// The templates as the user gives them; an absent one has its default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContextTemplates {
    /// Of the input with its context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Of the output with its context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Of the input without context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contextless_input: Option<String>,
    /// Of the output without context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contextless_output: Option<String>,
}

impl ContextTemplates {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How a generated output is split into its context and the current text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputContextStrategy {
    /// The user confirms or corrects a guess.
    Manual,
    /// The guess is taken; without one the example fails.
    Auto,
    /// Not at all: the context must be given.
    Pre,
}

/// Which scores stand out: those at least a number of standard deviations above the mean, and of
/// these the largest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// The threshold is the mean plus this many standard deviations; `None` means all scores.
    pub std_weight: Option<f64>,
    /// At most this many scores; `None` means all that reach the threshold.
    pub top_k: Option<usize>,
}

fn blank() -> String {
    " ".to_owned()
}
