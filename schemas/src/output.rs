//! The Arrow schema of the attribution table: one row per example, steps nested inside.
//!
//! An example for which several sequences are generated has one row per sequence, numbered by
//! [`SAMPLE`]. [`EXAMPLE_ID`] and [`SAMPLE`] together identify a row.
//!
//! The table is nested because an example's tokens are then stored once, however many steps it has.
//! That is a third smaller than one row per score, and several times cheaper to write and scan. The
//! long form is a view. List children are called `element`, as the Parquet format says, not by
//! Arrow's own name for them.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema};

/// Number of the dataset row, counted within the split; `int64`.
pub const EXAMPLE_ID: &str = "example_id";
/// 0-based number of the sequence among those generated for the example, best first if a search
/// ranks them. 0 if there is only one, or if the example itself has an error.
pub const SAMPLE: &str = "sample";
/// [`STATUS_OK`] or [`STATUS_ERROR`].
pub const STATUS: &str = "status";
/// Code of the error; null for good rows.
pub const ERROR_CODE: &str = "error_code";
/// What went wrong and what to do about it; null for good rows.
pub const ERROR_MESSAGE: &str = "error_message";
/// The input text; null if the row had none.
pub const INPUT_TEXT: &str = "input_text";
/// The target text, forced or generated.
pub const GENERATED_TEXT: &str = "generated_text";
/// Whether the target was forced, that is, given by the dataset instead of generated.
pub const TARGET_FORCED: &str = "target_forced";
/// Tokens the encoder saw; empty for decoder-only models.
pub const SOURCE_TOKENS: &str = "source_tokens";
/// Ids of [`SOURCE_TOKENS`]; -1 for a token that was merged from several.
pub const SOURCE_TOKEN_IDS: &str = "source_token_ids";
/// Positions of [`SOURCE_TOKENS`] in the input text: characters from [`START`] up to [`END`],
/// without surrounding whitespace; null for a token that does not come from the text.
pub const SOURCE_TOKEN_OFFSETS: &str = "source_token_offsets";
/// Tokens the decoder saw, including the prompt and the start token.
pub const TARGET_TOKENS: &str = "target_tokens";
/// Ids of [`TARGET_TOKENS`]; -1 for a token that was merged from several.
pub const TARGET_TOKEN_IDS: &str = "target_token_ids";
/// Positions of [`TARGET_TOKENS`] in the target text, in the form of [`SOURCE_TOKEN_OFFSETS`].
pub const TARGET_TOKEN_OFFSETS: &str = "target_token_offsets";
/// Position of the first attributed token in [`TARGET_TOKENS`].
pub const ATTR_POS_START: &str = "attr_pos_start";
/// Position after the last attributed token in [`TARGET_TOKENS`].
pub const ATTR_POS_END: &str = "attr_pos_end";
/// One struct per attributed token; see [`step_fields`].
pub const STEPS: &str = "steps";
/// One struct per query token of a stack's self-attention; see [`sequence_fields`]. Null unless the
/// method was asked for such scores.
pub const SEQUENCE_SCORES: &str = "sequence_scores";
/// Dataset columns copied into the table; a struct, absent if none were requested.
pub const COLUMNS: &str = "columns";

/// Position of a token's first character, counted from 0.
pub const START: &str = "start";
/// Position after a token's last character.
pub const END: &str = "end";

/// Value of [`STATUS`] for an attributed example.
pub const STATUS_OK: &str = "ok";
/// Value of [`STATUS`] for an example that could not be attributed.
pub const STATUS_ERROR: &str = "error";

/// 0-based number of the step.
pub const STEP: &str = "step";
/// Position of the step's token in [`TARGET_TOKENS`].
pub const TARGET_POS: &str = "target_pos";
/// The generated token.
pub const TOKEN: &str = "token";
/// Id of [`TOKEN`].
pub const TOKEN_ID: &str = "token_id";
/// The token that the generated one is contrasted with; null if there is no contrast.
pub const CONTRAST_TOKEN: &str = "contrast_token";
/// Id of [`CONTRAST_TOKEN`].
pub const CONTRAST_TOKEN_ID: &str = "contrast_token_id";
/// One score per source token; null if the source was not attributed.
pub const SOURCE_SCORES: &str = "source_scores";
/// One score per token of the prefix; null if the prefix was not attributed. A token that was
/// merged from several may have one score more: that of its earlier pieces for its later ones.
pub const TARGET_SCORES: &str = "target_scores";
/// One `float32` per recorded step score; absent if none are recorded.
pub const STEP_SCORES: &str = "step_scores";

/// Inseq's name for a kind of sequence scores, such as `encoder_self_attentions`.
pub const NAME: &str = "name";
/// [`SIDE_SOURCE`] or [`SIDE_TARGET`]: the side that both the query and the key tokens are on.
pub const SIDE: &str = "side";
/// Index of the query token among the tokens of its side. On the target side, it is the index of
/// the token that the query token predicts.
pub const POSITION: &str = "position";
/// One score per key token, starting with the first: all source tokens, or the prefix.
pub const SCORES: &str = "scores";

/// Value of [`SIDE`] for the encoder's tokens.
pub const SIDE_SOURCE: &str = "source";
/// Value of [`SIDE`] for the decoder's tokens.
pub const SIDE_TARGET: &str = "target";

/// Why a row could not be attributed. Written to [`ERROR_CODE`] and [`ERROR_MESSAGE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// Code of the error. All errors of one kind have the same code.
    pub code: String,
    /// What went wrong and what to do about it.
    pub message: String,
}

impl RowError {
    /// Describes an error of kind `code`.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
        }
    }
}

/// Returns the schema of the attribution table for a job that records `step_scores` (in this order)
/// and copies the dataset columns `columns`.
pub fn schema(step_scores: &[String], columns: &Fields) -> Schema {
    let mut fields = vec![
        Field::new(EXAMPLE_ID, DataType::Int64, false),
        Field::new(SAMPLE, DataType::Int32, false),
        Field::new(STATUS, DataType::Utf8, false),
        Field::new(ERROR_CODE, DataType::Utf8, true),
        Field::new(ERROR_MESSAGE, DataType::Utf8, true),
        Field::new(INPUT_TEXT, DataType::Utf8, true),
        Field::new(GENERATED_TEXT, DataType::Utf8, true),
        Field::new(TARGET_FORCED, DataType::Boolean, false),
        Field::new(SOURCE_TOKENS, list(DataType::Utf8), true),
        Field::new(SOURCE_TOKEN_IDS, list(DataType::Int32), true),
        Field::new(
            SOURCE_TOKEN_OFFSETS,
            DataType::List(offsets_element()),
            true,
        ),
        Field::new(TARGET_TOKENS, list(DataType::Utf8), true),
        Field::new(TARGET_TOKEN_IDS, list(DataType::Int32), true),
        Field::new(
            TARGET_TOKEN_OFFSETS,
            DataType::List(offsets_element()),
            true,
        ),
        Field::new(ATTR_POS_START, DataType::Int32, true),
        Field::new(ATTR_POS_END, DataType::Int32, true),
        Field::new(
            STEPS,
            list(DataType::Struct(step_fields(step_scores))),
            true,
        ),
        Field::new(
            SEQUENCE_SCORES,
            list(DataType::Struct(sequence_fields())),
            true,
        ),
    ];
    if !columns.is_empty() {
        fields.push(Field::new(COLUMNS, DataType::Struct(columns.clone()), true));
    }
    Schema::new(fields)
}

/// Returns the fields of one element of [`STEPS`].
pub fn step_fields(step_scores: &[String]) -> Fields {
    let mut fields = vec![
        Field::new(STEP, DataType::Int32, false),
        Field::new(TARGET_POS, DataType::Int32, false),
        Field::new(TOKEN, DataType::Utf8, false),
        Field::new(TOKEN_ID, DataType::Int32, false),
        Field::new(CONTRAST_TOKEN, DataType::Utf8, true),
        Field::new(CONTRAST_TOKEN_ID, DataType::Int32, true),
        Field::new(SOURCE_SCORES, list(DataType::Float32), true),
        Field::new(TARGET_SCORES, list(DataType::Float32), true),
    ];
    if !step_scores.is_empty() {
        let scores = step_scores
            .iter()
            .map(|name| Field::new(name, DataType::Float32, true))
            .collect();
        fields.push(Field::new(STEP_SCORES, DataType::Struct(scores), false));
    }
    fields.into()
}

/// Returns the fields of one element of [`SEQUENCE_SCORES`].
pub fn sequence_fields() -> Fields {
    let fields = vec![
        Field::new(NAME, DataType::Utf8, false),
        Field::new(SIDE, DataType::Utf8, false),
        Field::new(POSITION, DataType::Int32, false),
        Field::new(SCORES, list(DataType::Float32), false),
    ];
    fields.into()
}

/// Returns the fields of a token's offsets.
pub fn offsets_fields() -> Fields {
    let position = |name| Field::new(name, DataType::Int32, false);
    vec![position(START), position(END)].into()
}

/// Returns the element field of a list of offsets. Elements may be null: special tokens, for
/// example, have no offsets.
pub fn offsets_element() -> Arc<Field> {
    let element = element(DataType::Struct(offsets_fields()));
    Arc::new(element.as_ref().clone().with_nullable(true))
}

/// Returns the element field of a list whose values are never null.
pub fn element(values: DataType) -> Arc<Field> {
    Arc::new(Field::new("element", values, false))
}

/// Returns the type of a list whose values are never null.
pub fn list(values: DataType) -> DataType {
    DataType::List(element(values))
}
