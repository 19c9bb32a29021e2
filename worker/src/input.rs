//! Decodes the rows of a shard from the Arrow batches in which they arrive.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StructArray};
use arrow::compute::concat;
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use whence_schemas::input;

/// The rows of a shard, in row order.
#[derive(Debug, Clone)]
pub struct InputRows {
    /// One entry per dataset row.
    pub rows: Vec<InputRow>,
    /// Dataset columns that are copied into the table, one value per row.
    pub columns: Option<StructArray>,
}

/// One row of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputRow {
    /// Number of the row, counted within the split.
    pub example_id: i64,
    /// The input text, or the JSON of a list of messages.
    pub input_text: Option<String>,
    /// Whether `input_text` is the JSON of a list of messages.
    pub is_messages: bool,
    /// The forced target text; `None` if the target is to be generated.
    pub generated_text: Option<String>,
    /// Encoder input to contrast with.
    pub contrast_source: Option<String>,
    /// Target text to contrast with.
    pub contrast_target: Option<String>,
    /// Why the row could not be read; `None` for good rows.
    pub row_error: Option<String>,
}

/// Decodes an Arrow IPC stream. Fails if it is damaged, lacks a column or has one of the wrong
/// type.
pub fn decode(ipc: &[u8]) -> Result<InputRows, ArrowError> {
    let mut rows = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for batch in StreamReader::try_new(ipc, None)? {
        let batch = batch?;
        rows.extend(rows_of(&batch)?);
        columns.extend(batch.column_by_name(input::COLUMNS).cloned());
    }
    let columns = if columns.is_empty() {
        None
    } else {
        let parts: Vec<_> = columns.iter().map(AsRef::as_ref).collect();
        Some(concat(&parts)?.as_struct().clone())
    };
    Ok(InputRows { rows, columns })
}

fn rows_of(batch: &RecordBatch) -> Result<Vec<InputRow>, ArrowError> {
    let column = |name: &str| {
        let missing = || ArrowError::SchemaError(format!("the shard has no column `{name}`"));
        batch.column_by_name(name).ok_or_else(missing)
    };
    let ids = column(input::EXAMPLE_ID)?;
    let ids = ids
        .as_primitive_opt::<Int64Type>()
        .ok_or_else(|| wrong_type(input::EXAMPLE_ID))?;
    let text = |name: &'static str| {
        column(name)?
            .as_string_opt::<i32>()
            .ok_or_else(|| wrong_type(name))
    };
    let (inputs, targets) = (text(input::INPUT_TEXT)?, text(input::GENERATED_TEXT)?);
    let are_messages = column(input::INPUT_IS_MESSAGES)?
        .as_boolean_opt()
        .ok_or_else(|| wrong_type(input::INPUT_IS_MESSAGES))?;
    let contrast_sources = text(input::CONTRAST_SOURCE)?;
    let contrast_targets = text(input::CONTRAST_TARGET)?;
    let errors = text(input::ROW_ERROR)?;
    let at = |texts: &arrow::array::StringArray, row: usize| {
        texts.is_valid(row).then(|| texts.value(row).to_owned())
    };
    Ok((0..batch.num_rows())
        .map(|row| InputRow {
            example_id: ids.value(row),
            input_text: at(inputs, row),
            is_messages: are_messages.is_valid(row) && are_messages.value(row),
            generated_text: at(targets, row),
            contrast_source: at(contrast_sources, row),
            contrast_target: at(contrast_targets, row),
            row_error: at(errors, row),
        })
        .collect())
}

fn wrong_type(name: &str) -> ArrowError {
    ArrowError::SchemaError(format!(
        "the shard's column `{name}` has another type than it should"
    ))
}
