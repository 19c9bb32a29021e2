//! Encodes the objects that the coordinator itself puts into slots: tombstones and error rows.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray, new_null_array,
};
use arrow::datatypes::Schema;
use bytes::Bytes;
use whence_schemas::{
    Attempt, Epoch, Footer, JobSpec, RowError, SlotId, SlotKind, context_output, input, output,
    slot_file, table,
};

use crate::Error;

/// The worker name in the footers of these objects.
const AUTHOR: &str = "coordinator";

/// What the footer says about the origin of an object.
#[derive(Debug, Clone, Copy)]
pub struct Author<'a> {
    /// The job.
    pub spec: &'a JobSpec,
    /// The slot.
    pub slot: &'a SlotId,
    /// The attempt that this write counts as.
    pub attempt: &'a Attempt,
    /// The coordinator's epoch.
    pub epoch: Epoch,
}

/// Returns the object that marks a slot as split: it has the table's schema and no rows.
pub fn tombstone(author: Author) -> Result<Bytes, Error> {
    let schema = Arc::new(schema(author.spec));
    encode(author, SlotKind::Tombstone, &RecordBatch::new_empty(schema))
}

/// Returns the object that gives up on `rows`, a batch of [`input::schema`].
///
/// It has one error row per input row. Besides the error, a row has the id, the texts and the
/// carried columns of its input; the columns with results are null.
pub fn quarantine(author: Author, rows: &RecordBatch, error: &RowError) -> Result<Bytes, Error> {
    let schema = Arc::new(schema(author.spec));
    let num_rows = rows.num_rows();
    let same = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; num_rows])) };
    let column = |field: &Arc<arrow::datatypes::Field>| -> ArrayRef {
        let given = |name| rows.column_by_name(name).cloned();
        let known = match field.name().as_str() {
            output::EXAMPLE_ID => given(input::EXAMPLE_ID),
            output::SAMPLE => Some(Arc::new(Int32Array::from(vec![0; num_rows])) as ArrayRef),
            output::STATUS => Some(same(output::STATUS_ERROR)),
            output::ERROR_CODE => Some(same(&error.code)),
            output::ERROR_MESSAGE => Some(same(&error.message)),
            output::INPUT_TEXT => given(input::INPUT_TEXT),
            output::GENERATED_TEXT => given(input::GENERATED_TEXT),
            output::TARGET_FORCED => {
                let is_forced = author.spec.forces_targets();
                Some(Arc::new(BooleanArray::from(vec![is_forced; num_rows])) as ArrayRef)
            }
            context_output::INPUT_CONTEXT => given(input::INPUT_CONTEXT),
            context_output::OUTPUT_CONTEXT => given(input::OUTPUT_CONTEXT),
            output::COLUMNS => given(input::COLUMNS),
            _ => None,
        };
        known.unwrap_or_else(|| new_null_array(field.data_type(), num_rows))
    };
    let columns = schema.fields().iter().map(column).collect();
    let batch = RecordBatch::try_new(schema, columns)
        .map_err(|error| Error::Internal(format!("build an error row: {error}")))?;
    encode(author, SlotKind::Quarantine, &batch)
}

/// Returns input rows in which everything but the ids is null, for when the dataset cannot be read.
pub fn unread_rows(spec: &JobSpec, ids: std::ops::Range<u64>) -> Result<RecordBatch, Error> {
    let schema = Arc::new(input::schema(&input::text_columns(&spec.dataset.columns)));
    let ids = Int64Array::from_iter_values(ids.start as i64..ids.end as i64);
    let nulls = schema.fields().iter().skip(1);
    let nulls = nulls.map(|field| new_null_array(field.data_type(), ids.len()));
    let columns = std::iter::once(Arc::new(ids.clone()) as ArrayRef)
        .chain(nulls)
        .collect();
    RecordBatch::try_new(schema, columns)
        .map_err(|error| Error::Internal(format!("build unread rows: {error}")))
}

fn schema(spec: &JobSpec) -> Schema {
    table::schema(spec, &input::text_columns(&spec.dataset.columns))
}

fn encode(author: Author, kind: SlotKind, batch: &RecordBatch) -> Result<Bytes, Error> {
    let num_rows = batch.num_rows() as u64;
    let footer = Footer {
        slot: author.slot.clone(),
        attempt: author.attempt.clone(),
        kind,
        examples: num_rows,
        errors: num_rows,
        worker: AUTHOR.parse()?,
        epoch: author.epoch,
        spec_json: author.spec.canonical_json(),
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let encoded = slot_file::encode_without_scores(batch, &footer);
    let encoded =
        encoded.map_err(|error| Error::Internal(format!("encode slot `{}`: {error}", author.slot)));
    Ok(encoded?.into())
}

#[cfg(test)]
mod tests {
    use arrow::array::StructArray;
    use arrow::json::ArrayWriter;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{attempt, slot, spec};

    /// Returns a job that copies the column `language` into its table.
    fn with_column() -> JobSpec {
        let mut spec = spec("m");
        spec.dataset.columns = vec!["language".to_owned()];
        spec
    }

    fn read(bytes: Bytes) -> (Footer, Vec<Value>) {
        let file = slot_file::decode(bytes).unwrap();
        let mut writer = ArrayWriter::new(Vec::new());
        for batch in &file.batches {
            assert_eq!(*batch.schema(), schema(&with_column()));
            writer.write(batch).unwrap();
        }
        writer.finish().unwrap();
        let json = writer.into_inner();
        let rows = if json.is_empty() {
            Vec::new()
        } else {
            serde_json::from_slice(&json).unwrap()
        };
        (file.footer, rows)
    }

    fn footer(spec: &JobSpec, kind: SlotKind, rows: u64) -> Footer {
        Footer {
            slot: slot(3),
            attempt: attempt(8),
            kind,
            examples: rows,
            errors: rows,
            worker: "coordinator".parse().unwrap(),
            epoch: Epoch(5),
            spec_json: spec.canonical_json(),
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Calls `encode` with the author of slot 3 of the job `spec`.
    fn written(spec: &JobSpec, encode: impl FnOnce(Author) -> Result<Bytes, Error>) -> Bytes {
        let author = Author {
            spec,
            slot: &slot(3),
            attempt: &attempt(8),
            epoch: Epoch(5),
        };
        encode(author).unwrap()
    }

    #[test]
    fn a_tombstone_is_a_table_without_rows() {
        let spec = with_column();
        let (found, rows) = read(written(&spec, tombstone));
        assert_eq!(found, footer(&spec, SlotKind::Tombstone, 0));
        assert_eq!(rows, [Value::Null; 0]);
    }

    #[test]
    fn rows_that_are_given_up_keep_their_texts_and_columns_beside_the_error() {
        let spec = with_column();
        let text = |values: [Option<&str>; 2]| -> ArrayRef {
            Arc::new(StringArray::from(values.to_vec()))
        };
        let carried = input::text_columns(&spec.dataset.columns);
        let languages = StructArray::new(carried.clone(), vec![text([Some("en"), None])], None);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![7, 8])),
            text([Some("a"), None]),
            Arc::new(BooleanArray::from(vec![false, false])),
            text([Some("b"), None]),
            text([None, None]),
            text([None, None]),
            text([None, None]),
            text([None, None]),
            text([None, Some("it is not JSON")]),
            Arc::new(languages),
        ];
        let batch = RecordBatch::try_new(Arc::new(input::schema(&carried)), columns).unwrap();
        let error = RowError::new("lost", "worker `a` vanished");
        let bytes = written(&spec, |author| quarantine(author, &batch, &error));
        let (found, rows) = read(bytes);
        assert_eq!(found, footer(&spec, SlotKind::Quarantine, 2));
        let row = |id, columns: Value| {
            json!({
                "example_id": id, "sample": 0, "status": "error", "error_code": "lost",
                "error_message": "worker `a` vanished", "target_forced": false,
                "columns": columns,
            })
        };
        let mut first = row(7, json!({"language": "en"}));
        first["input_text"] = json!("a");
        first["generated_text"] = json!("b");
        assert_eq!(rows, [first, row(8, json!({}))]);
    }

    #[test]
    fn rows_that_cannot_be_read_are_given_up_by_their_numbers() {
        let spec = with_column();
        let batch = unread_rows(&spec, 4..6).unwrap();
        let error = RowError::new("input", "the file is gone");
        let bytes = written(&spec, |author| quarantine(author, &batch, &error));
        let (_, rows) = read(bytes);
        let ids: Vec<_> = rows.iter().map(|row| &row["example_id"]).collect();
        assert_eq!(ids, [4, 5]);
        assert!(rows.iter().all(|row| row.get("input_text").is_none()));
    }
}
