//! The Arrow schema of the context table: one row per example of a job with
//! [`ContextOptions`](crate::ContextOptions).
//!
//! Rows are keyed as in the attribution table ([`crate::output`]), and columns with the same name
//! mean the same there. [`GENERATED_TEXT`](crate::output::GENERATED_TEXT) is the output that is
//! analyzed, and its tokens are [`OUTPUT_TOKENS`]. The contexts and their tokens are stored once;
//! each context-sensitive token has one score per token of each context.

use arrow_schema::{DataType, Field, Fields, Schema};

use crate::output::{self, list, offsets_element};

/// Context of the input; null if its template has no place for one.
pub const INPUT_CONTEXT: &str = "input_context";
/// Context of the output; null if its template has no place for one.
pub const OUTPUT_CONTEXT: &str = "output_context";

/// The columns that describe the tokens of one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenColumns {
    /// The tokens, as the vocabulary spells them.
    pub texts: &'static str,
    /// Their ids.
    pub ids: &'static str,
    /// Their positions in the text; null for a token that does not come from it.
    pub offsets: &'static str,
}

/// Tokens of the output.
pub const OUTPUT_TOKENS: TokenColumns = TokenColumns {
    texts: "output_tokens",
    ids: "output_token_ids",
    offsets: "output_token_offsets",
};
/// Tokens of [`INPUT_CONTEXT`].
pub const INPUT_CONTEXT_TOKENS: TokenColumns = TokenColumns {
    texts: "input_context_tokens",
    ids: "input_context_token_ids",
    offsets: "input_context_token_offsets",
};
/// Tokens of [`OUTPUT_CONTEXT`].
pub const OUTPUT_CONTEXT_TOKENS: TokenColumns = TokenColumns {
    texts: "output_context_tokens",
    ids: "output_context_token_ids",
    offsets: "output_context_token_offsets",
};

/// How much each token of the output depends on the context (context-sensitive token
/// identification, CTI): one score of the job's metric per token.
pub const CTI_SCORES: &str = "cti_scores";
/// Absolute value that a score had to reach for its token to count as context-sensitive.
pub const CTI_THRESHOLD: &str = "cti_threshold";
/// One element per context-sensitive token, by descending absolute score; see [`cue_fields`].
pub const CUES: &str = "cues";
/// What the user should know about the texts.
pub const NOTICES: &str = "notices";

/// Index of the context-sensitive token in [`OUTPUT_TOKENS`].
pub const TOKEN_INDEX: &str = "token_index";
/// The output up to the token, with its context (and the prompt of a decoder-only model).
pub const CONTEXTUAL_OUTPUT: &str = "contextual_output";
/// What the token is contrasted with; null if the attributed function does not contrast.
pub const CONTRAST_TOKEN: &str = "contrast_token";
/// The output without context that ends with [`CONTRAST_TOKEN`].
pub const CONTEXTLESS_OUTPUT: &str = "contextless_output";
/// One score per token of the input's context (contextual cues imputation, CCI); null if there is
/// no such context.
pub const INPUT_CONTEXT_SCORES: &str = "input_context_scores";
/// One score per token of the output's context; null if there is no such context.
pub const OUTPUT_CONTEXT_SCORES: &str = "output_context_scores";
/// Absolute value that a score had to reach for its token to count as a cue.
pub const CUE_THRESHOLD: &str = "cue_threshold";
/// Indices of the cues among the tokens of the input's context, by descending absolute score.
pub const INPUT_CUES: &str = "input_cues";
/// Indices of the cues among the tokens of the output's context, by descending absolute score.
pub const OUTPUT_CUES: &str = "output_cues";

/// Returns the schema of the context table for a job that copies the dataset columns `columns`.
pub fn schema(columns: &Fields) -> Schema {
    let mut fields = vec![
        Field::new(output::EXAMPLE_ID, DataType::Int64, false),
        Field::new(output::SAMPLE, DataType::Int32, false),
        Field::new(output::STATUS, DataType::Utf8, false),
        Field::new(output::ERROR_CODE, DataType::Utf8, true),
        Field::new(output::ERROR_MESSAGE, DataType::Utf8, true),
        Field::new(output::INPUT_TEXT, DataType::Utf8, true),
        Field::new(INPUT_CONTEXT, DataType::Utf8, true),
        Field::new(output::GENERATED_TEXT, DataType::Utf8, true),
        Field::new(OUTPUT_CONTEXT, DataType::Utf8, true),
        Field::new(output::TARGET_FORCED, DataType::Boolean, false),
    ];
    for tokens in [OUTPUT_TOKENS, INPUT_CONTEXT_TOKENS, OUTPUT_CONTEXT_TOKENS] {
        let offsets = DataType::List(offsets_element());
        fields.push(Field::new(tokens.texts, list(DataType::Utf8), true));
        fields.push(Field::new(tokens.ids, list(DataType::Int32), true));
        fields.push(Field::new(tokens.offsets, offsets, true));
    }
    let cues = DataType::Struct(cue_fields());
    fields.extend([
        Field::new(CTI_SCORES, list(DataType::Float32), true),
        Field::new(CTI_THRESHOLD, DataType::Float64, true),
        Field::new(CUES, list(cues), true),
        Field::new(NOTICES, list(DataType::Utf8), true),
    ]);
    if !columns.is_empty() {
        let carried = DataType::Struct(columns.clone());
        fields.push(Field::new(output::COLUMNS, carried, true));
    }
    Schema::new(fields)
}

/// Returns the fields of one element of [`CUES`].
pub fn cue_fields() -> Fields {
    let fields = vec![
        Field::new(TOKEN_INDEX, DataType::Int32, false),
        Field::new(CONTEXTUAL_OUTPUT, DataType::Utf8, false),
        Field::new(CONTRAST_TOKEN, DataType::Utf8, true),
        Field::new(CONTEXTLESS_OUTPUT, DataType::Utf8, true),
        Field::new(INPUT_CONTEXT_SCORES, list(DataType::Float32), true),
        Field::new(OUTPUT_CONTEXT_SCORES, list(DataType::Float32), true),
        Field::new(CUE_THRESHOLD, DataType::Float64, false),
        Field::new(INPUT_CUES, list(DataType::Int32), false),
        Field::new(OUTPUT_CUES, list(DataType::Int32), false),
    ];
    fields.into()
}
