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
    /// Context of the input.
    pub input_context: Option<String>,
    /// Context of the output.
    pub output_context: Option<String>,
    /// Why the row could not be read; `None` for good rows.
    pub row_error: Option<String>,
}

/// Decodes an Arrow IPC stream of `num_rows` rows. Fails if it is damaged, has another number of
/// rows, lacks a column, or has one of the wrong type or without a value that every row must have.
pub fn decode(ipc: &[u8], num_rows: u64) -> Result<InputRows, ArrowError> {
    let mut rows = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for batch in StreamReader::try_new(ipc, None)? {
        let batch = batch?;
        rows.extend(rows_of(&batch)?);
        columns.extend(batch.column_by_name(input::COLUMNS).cloned());
    }
    // A stream that is cut between two batches looks like a shorter shard.
    if rows.len() as u64 != num_rows {
        let found = rows.len();
        let reason = format!("the shard has {found} rows where its lease has {num_rows}");
        return Err(ArrowError::IpcError(reason));
    }
    let columns = if columns.is_empty() {
        None
    } else {
        let parts: Vec<_> = columns.iter().map(AsRef::as_ref).collect();
        let columns = concat(&parts)?.as_struct_opt().cloned();
        Some(columns.ok_or_else(|| wrong_type(input::COLUMNS))?)
    };
    Ok(InputRows { rows, columns })
}

/// Returns the rows of a batch. Fails if it lacks a column, or has one of the wrong type or without a
/// value that every row must have.
pub(crate) fn rows_of(batch: &RecordBatch) -> Result<Vec<InputRow>, ArrowError> {
    let column = |name: &str| {
        let missing = || ArrowError::SchemaError(format!("the shard has no column `{name}`"));
        batch.column_by_name(name).ok_or_else(missing)
    };
    let ids = column(input::EXAMPLE_ID)?;
    let ids = ids
        .as_primitive_opt::<Int64Type>()
        .ok_or_else(|| wrong_type(input::EXAMPLE_ID))?;
    if ids.null_count() > 0 {
        let reason = format!("a row of the shard has no `{}`", input::EXAMPLE_ID);
        return Err(ArrowError::SchemaError(reason));
    }
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
    let input_contexts = text(input::INPUT_CONTEXT)?;
    let output_contexts = text(input::OUTPUT_CONTEXT)?;
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
            input_context: at(input_contexts, row),
            output_context: at(output_contexts, row),
            row_error: at(errors, row),
        })
        .collect())
}

fn wrong_type(name: &str) -> ArrowError {
    ArrowError::SchemaError(format!(
        "the shard's column `{name}` has another type than it should"
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray, new_null_array};
    use arrow::datatypes::{DataType, Field, Fields};

    use super::*;
    use crate::testing::{batch, row, stream};

    /// Returns `batch` with another array in place of the column `name`, or without the column.
    fn with_column(batch: &RecordBatch, name: &str, array: Option<&ArrayRef>) -> RecordBatch {
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns());
        let columns = columns.filter_map(|(field, column)| {
            let column = if field.name() == name {
                Arc::clone(array?)
            } else {
                Arc::clone(column)
            };
            Some((field.name().clone(), column, true))
        });
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    fn languages(values: &[&str]) -> ArrayRef {
        let fields = Fields::from(vec![Field::new("language", DataType::Utf8, true)]);
        let values: ArrayRef = Arc::new(StringArray::from(values.to_vec()));
        Arc::new(StructArray::new(fields, vec![values], None))
    }

    #[test]
    fn the_rows_of_all_batches_arrive_in_order_with_their_columns() {
        let all = InputRow {
            is_messages: true,
            generated_text: Some("b".to_owned()),
            contrast_source: Some("c".to_owned()),
            contrast_target: Some("d".to_owned()),
            input_context: Some("e".to_owned()),
            output_context: Some("f".to_owned()),
            ..row(7, "[]")
        };
        let unreadable = InputRow {
            input_text: None,
            row_error: Some("not JSON".to_owned()),
            ..row(9, "")
        };
        let rows = [all, row(8, "é"), unreadable];
        let sent = stream(&[
            batch(&rows[..2], Some(languages(&["en", "fr"]))),
            batch(&rows[2..], Some(languages(&["de"]))),
        ]);
        let received = decode(&sent, 3).unwrap();
        assert_eq!(received.rows, rows);
        let columns: ArrayRef = Arc::new(received.columns.unwrap());
        assert_eq!(&columns, &languages(&["en", "fr", "de"]));
    }

    #[test]
    fn a_shard_without_rows_has_no_columns() {
        let received = decode(&stream(&[batch(&[], None)]), 0).unwrap();
        assert_eq!((received.rows, received.columns), (Vec::new(), None));
    }

    #[test]
    fn a_column_that_is_missing_or_of_another_type_is_named() {
        let sent = batch(&[row(1, "a")], Some(languages(&["en"])));
        for field in sent.schema().fields() {
            let name = field.name().as_str();
            let other: ArrayRef = match name {
                input::EXAMPLE_ID => Arc::new(StringArray::from(vec!["1"])),
                _ => Arc::new(Int64Array::from(vec![1])),
            };
            let damaged = with_column(&sent, name, Some(&other));
            let error = decode(&stream(&[damaged]), 1).unwrap_err().to_string();
            assert!(error.contains(&format!("`{name}`")), "{error}");
            let missing = decode(&stream(&[with_column(&sent, name, None)]), 1);
            match missing {
                Err(error) => assert!(error.to_string().contains(name), "{error}"),
                Ok(received) => assert_eq!((name, received.columns), (input::COLUMNS, None)),
            }
        }
    }

    #[test]
    fn a_row_without_a_number_is_refused_not_numbered_0() {
        let sent = batch(&[row(1, "a")], None);
        let nothing = new_null_array(&DataType::Int64, 1);
        let damaged = with_column(&sent, input::EXAMPLE_ID, Some(&nothing));
        let error = decode(&stream(&[damaged]), 1).unwrap_err().to_string();
        assert!(error.contains("has no `example_id`"), "{error}");
    }

    #[test]
    fn a_stream_that_is_cut_is_refused_wherever_rows_are_missing() {
        let rows: Vec<_> = (0..3).map(|id| row(id, "text")).collect();
        let batches: Vec<_> = rows.chunks(1).map(|rows| batch(rows, None)).collect();
        let sent = stream(&batches);
        for end in 0..sent.len() {
            if let Ok(received) = decode(&sent[..end], 3) {
                assert_eq!(received.rows, rows, "{end} bytes");
            }
        }
        // The message that ends a stream has eight bytes.
        assert!(decode(&sent[..sent.len() - 8], 3).is_ok());
        let error = decode(&sent, 4).unwrap_err().to_string();
        assert!(error.contains("3 rows where its lease has 4"), "{error}");
    }
}
