//! Encodes the objects that the coordinator itself puts into slots: tombstones and error rows.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray, new_null_array,
};
use arrow::datatypes::Schema;
use bytes::Bytes;
use whence_schemas::{
    Attempt, Epoch, Footer, JobSpec, RowError, SlotId, SlotKind, input, output, slot_file,
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
    let scores = spec.attribution.step_score_labels();
    output::schema(&scores, &input::text_columns(&spec.dataset.columns))
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
