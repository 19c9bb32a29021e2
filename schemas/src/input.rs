//! The Arrow schema of the batches a worker receives.
//!
//! One row per example, whatever the dataset looked like. Nested fields are already resolved. A row
//! that could not be read carries the reason instead of a text, so that it does not fail the rest
//! of the shard.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema};

/// Number of the row, counted within the split; `int64`.
pub const EXAMPLE_ID: &str = "example_id";
/// Input text; null if the row has none.
pub const INPUT_TEXT: &str = "input_text";
/// Whether the row's input is a list of messages, in which case `input_text` holds its JSON;
/// `bool`, null means no. This is never guessed from how a text begins: `[1] …` is a text.
pub const INPUT_IS_MESSAGES: &str = "input_is_messages";
/// Forced target text. The column is all null if targets are generated.
pub const GENERATED_TEXT: &str = "generated_text";
/// Encoder input to contrast with. The column is all null if the job names no such field.
pub const CONTRAST_SOURCE: &str = "contrast_source";
/// Target text to contrast with. The column is all null if the job names no such field.
pub const CONTRAST_TARGET: &str = "contrast_target";
/// Context of the input. The column is all null if the job names no such field.
pub const INPUT_CONTEXT: &str = "input_context";
/// Context of the output. The column is all null if the job names no such field.
pub const OUTPUT_CONTEXT: &str = "output_context";
/// Why the row could not be read; null for good rows.
pub const ROW_ERROR: &str = "row_error";
/// Dataset columns carried into the result; a struct, absent if none were asked for.
pub const COLUMNS: &str = "columns";

/// Returns the schema of an input batch that carries `columns` along.
pub fn schema(columns: &Fields) -> Schema {
    let mut fields = vec![
        Field::new(EXAMPLE_ID, DataType::Int64, false),
        Field::new(INPUT_TEXT, DataType::Utf8, true),
        Field::new(INPUT_IS_MESSAGES, DataType::Boolean, true),
        Field::new(GENERATED_TEXT, DataType::Utf8, true),
        Field::new(CONTRAST_SOURCE, DataType::Utf8, true),
        Field::new(CONTRAST_TARGET, DataType::Utf8, true),
        Field::new(INPUT_CONTEXT, DataType::Utf8, true),
        Field::new(OUTPUT_CONTEXT, DataType::Utf8, true),
        Field::new(ROW_ERROR, DataType::Utf8, true),
    ];
    if !columns.is_empty() {
        fields.push(Field::new(COLUMNS, DataType::Struct(columns.clone()), true));
    }
    Schema::new(fields)
}

/// Returns the passed-through columns of a schema made by [`schema`]; no fields if it has none.
pub fn columns(schema: &Schema) -> Fields {
    match schema.field_with_name(COLUMNS).map(Field::data_type) {
        Ok(DataType::Struct(fields)) => fields.clone(),
        _ => Fields::empty(),
    }
}

/// Returns the fields of the passed-through columns called `names`. All of them are text: a value
/// that is not text is written as JSON, so that one schema fits every row of every file.
pub fn text_columns(names: &[String]) -> Fields {
    names
        .iter()
        .map(|name| Arc::new(Field::new(name, DataType::Utf8, true)))
        .collect()
}
