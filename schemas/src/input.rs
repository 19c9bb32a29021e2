//! The Arrow schema of the batches a worker receives.
//!
//! One row per example, whatever the dataset looked like: nested fields are already resolved, rows
//! that could not be read carry the reason instead of a text, so that a bad row costs only itself.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema};

/// Number of the row as the split selects it; `int64`.
pub const EXAMPLE_ID: &str = "example_id";
/// Input text; null if the row has none.
pub const INPUT_TEXT: &str = "input_text";
/// Whether the row's input is a list of messages, whose JSON `input_text` then holds; `bool`, null for no. How a
/// text begins never says so: `[1] …` is a text.
pub const INPUT_IS_MESSAGES: &str = "input_is_messages";
/// Forced target text; the column is null throughout where targets are generated.
pub const GENERATED_TEXT: &str = "generated_text";
/// Encoder input to contrast with; the column is null throughout where the job names none.
pub const CONTRAST_SOURCE: &str = "contrast_source";
/// Target text to contrast with; the column is null throughout where the job names none.
pub const CONTRAST_TARGET: &str = "contrast_target";
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
        Field::new(ROW_ERROR, DataType::Utf8, true),
    ];
    if !columns.is_empty() {
        fields.push(Field::new(COLUMNS, DataType::Struct(columns.clone()), true));
    }
    Schema::new(fields)
}

/// Returns the columns a schema made by [`schema`] carries along.
pub fn columns(schema: &Schema) -> Fields {
    match schema.field_with_name(COLUMNS).map(Field::data_type) {
        Ok(DataType::Struct(fields)) => fields.clone(),
        _ => Fields::empty(),
    }
}

/// Returns the fields of passed-through columns called `names`, all of them text: JSON, where a
/// column holds anything but text, so that one schema serves every row of every file.
pub fn text_columns(names: &[String]) -> Fields {
    names
        .iter()
        .map(|name| Arc::new(Field::new(name, DataType::Utf8, true)))
        .collect()
}
