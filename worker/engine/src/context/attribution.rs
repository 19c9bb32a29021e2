//! What comes out: which tokens depend on the context, and on which of its tokens.

use crate::{Attribution, Token};

/// The result for one example.
#[derive(Debug, Clone, PartialEq)]
pub struct ContextAttribution {
    /// The context of the input; `None` if its template has no place for one.
    pub input_context: Option<TextTokens>,
    /// The context of the output; `None` if its template has no place for one.
    pub output_context: Option<TextTokens>,
    /// The output that was analyzed.
    pub output_current: TextTokens,
    /// Whether the output was given rather than generated.
    pub is_forced: bool,
    /// How much each of its tokens depends on the context (context-sensitive token identification,
    /// CTI).
    pub cti_scores: Vec<f32>,
    /// Absolute value that a score had to reach.
    pub cti_threshold: f64,
    /// The tokens that depend on the context most, and the cues for them (contextual cues
    /// imputation, CCI).
    pub cues: Vec<TokenCues>,
    /// What the user should know about the texts.
    pub notices: Vec<String>,
}

/// The result for one example, and the attributions that it is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct ContextAnalysis {
    /// The result.
    pub result: ContextAttribution,
    /// The output without context, with the metric as its step score.
    pub comparison: Attribution,
    /// The attribution of each token in [`ContextAttribution::cues`].
    pub attributions: Vec<Attribution>,
}

/// A text and its tokens. Their offsets count characters of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextTokens {
    /// The text.
    pub text: String,
    /// The tokens that the model reads it as.
    pub tokens: Vec<Token>,
}

/// A token that depends on the context, and the scores of the context's tokens for it.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenCues {
    /// Index of the token in [`ContextAttribution::output_current`].
    pub index: usize,
    /// The output up to the token, with its context (and the prompt of a decoder-only model).
    pub contextual_output: String,
    /// What the token is contrasted with; `None` if the attributed function does not contrast.
    pub alternative: Option<Alternative>,
    /// One score per token of the input's context.
    pub input_context_scores: Option<Vec<f32>>,
    /// One score per token of the output's context.
    pub output_context_scores: Option<Vec<f32>>,
    /// Absolute value that a score had to reach for its token to be a cue. It is made of the scores
    /// of both contexts together.
    pub cue_threshold: f64,
    /// Indices of the cues in the input's context, by descending score.
    pub input_cues: Vec<usize>,
    /// Indices of the cues in the output's context, by descending score.
    pub output_cues: Vec<usize>,
}

/// What would be in a token's place without context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// The token, as the vocabulary spells it.
    pub token: String,
    /// The output without context that ends with it.
    pub output: String,
}
