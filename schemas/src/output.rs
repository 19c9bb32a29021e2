//! The Arrow schema of the attribution table: one row per example, steps nested inside.
//!
//! An example for which several sequences are generated has a row for each, numbered by [`SAMPLE`];
//! [`EXAMPLE_ID`] and it together name a row.
//!
//! Nested, because an example's tokens are written once however many steps it has: a third smaller
//! and several times cheaper to write and scan than one row per score. The long form is a view.
//! List children are called `element`, as the Parquet format says, whatever Arrow would call them.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema};

/// Number of the row as the split selects it; `int64`.
pub const EXAMPLE_ID: &str = "example_id";
/// 0-based number of the sequence among those generated for the example, best first where a search
/// ranks them; 0 where there is one, or an error of the example itself.
pub const SAMPLE: &str = "sample";
/// [`STATUS_OK`] or [`STATUS_ERROR`].
pub const STATUS: &str = "status";
/// What kind of error; null for good rows.
pub const ERROR_CODE: &str = "error_code";
/// What went wrong and what to do about it; null for good rows.
pub const ERROR_MESSAGE: &str = "error_message";
/// The input text; null if the row had none.
pub const INPUT_TEXT: &str = "input_text";
/// The target text, forced or generated.
pub const GENERATED_TEXT: &str = "generated_text";
/// Whether the target was forced.
pub const TARGET_FORCED: &str = "target_forced";
/// Tokens the encoder saw; empty for decoder-only models.
pub const SOURCE_TOKENS: &str = "source_tokens";
/// Ids of [`SOURCE_TOKENS`]; -1 for a token merged of several.
pub const SOURCE_TOKEN_IDS: &str = "source_token_ids";
/// Where [`SOURCE_TOKENS`] stand in the input text: characters from [`START`] up to [`END`], without
/// surrounding blanks; null for a token that no text produced.
pub const SOURCE_TOKEN_OFFSETS: &str = "source_token_offsets";
/// Tokens the decoder saw, prompt and start token included.
pub const TARGET_TOKENS: &str = "target_tokens";
/// Ids of [`TARGET_TOKENS`]; -1 for a token merged of several.
pub const TARGET_TOKEN_IDS: &str = "target_token_ids";
/// Where [`TARGET_TOKENS`] stand in the target text, as [`SOURCE_TOKEN_OFFSETS`].
pub const TARGET_TOKEN_OFFSETS: &str = "target_token_offsets";
/// Position of the first attributed target token.
pub const ATTR_POS_START: &str = "attr_pos_start";
/// Position after the last attributed target token.
pub const ATTR_POS_END: &str = "attr_pos_end";
/// One struct per attributed token; see [`step_fields`].
pub const STEPS: &str = "steps";
/// One struct per query token of a stack's own attention; see [`sequence_fields`]. Null unless the
/// method was asked for such scores.
pub const SEQUENCE_SCORES: &str = "sequence_scores";
/// Dataset columns carried along; a struct, absent if none were asked for.
pub const COLUMNS: &str = "columns";

/// A token's first character, counted from 0.
pub const START: &str = "start";
/// The character behind its last.
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
/// Its id.
pub const TOKEN_ID: &str = "token_id";
/// The token the generated one is contrasted with; null where there is no contrast.
pub const CONTRAST_TOKEN: &str = "contrast_token";
/// Id of [`CONTRAST_TOKEN`].
pub const CONTRAST_TOKEN_ID: &str = "contrast_token_id";
/// One score per source token; null where the source was not attributed.
pub const SOURCE_SCORES: &str = "source_scores";
/// One score per prefix token, as many as the prefix is long; null where it was not attributed. A
/// token merged of several may have one more: the score of its earlier pieces for its later ones.
pub const TARGET_SCORES: &str = "target_scores";
/// One `float32` per requested step function; absent if none were requested.
pub const STEP_SCORES: &str = "step_scores";

/// Inseq's name of some sequence scores, such as `encoder_self_attentions`.
pub const NAME: &str = "name";
/// [`SIDE_SOURCE`] or [`SIDE_TARGET`]: whose tokens both query and key are.
pub const SIDE: &str = "side";
/// Index of the query token among the tokens of its side; on the target side, of the token it
/// predicts.
pub const POSITION: &str = "position";
/// One score per key token, from the first on: all of the source, or the prefix.
pub const SCORES: &str = "scores";

/// Value of [`SIDE`] for the encoder's tokens.
pub const SIDE_SOURCE: &str = "source";
/// Value of [`SIDE`] for the decoder's.
pub const SIDE_TARGET: &str = "target";

/// Why a row could not be attributed: what [`ERROR_CODE`] and [`ERROR_MESSAGE`] say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// What kind of error; constant for each kind.
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

/// Returns the schema of the attribution table for a job that records `step_scores` (in order) and
/// carries `columns` along.
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

/// Returns the field of the values of a list of offsets, of which some may be missing.
pub fn offsets_element() -> Arc<Field> {
    let element = element(DataType::Struct(offsets_fields()));
    Arc::new(element.as_ref().clone().with_nullable(true))
}

/// Returns the field of a list's values.
pub fn element(values: DataType) -> Arc<Field> {
    Arc::new(Field::new("element", values, false))
}

fn list(values: DataType) -> DataType {
    DataType::List(element(values))
}
