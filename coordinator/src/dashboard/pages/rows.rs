//! Reads the rows of a slot for a page.

use std::ops::Range;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use whence_schemas::slot_file::{self, SlotFile};
use whence_schemas::{JobId, Plan, SlotId, SlotKind, layout, output};

use crate::Error;
use crate::blocking::blocking;
use crate::dashboard::context::Context;
use crate::durable::get_json;
use crate::durable::manifest::Manifest;
use crate::job::SlotState;

/// Largest object that is read for a page. It is in memory meanwhile, beside what workers need.
const MOST_BYTES: u64 = 64 << 20;
/// Letters of a text in a list.
const MOST_LETTERS: usize = 400;

/// The rows in a slot's object.
#[derive(Debug)]
pub(super) enum SlotRows {
    /// They are here.
    Read(Box<SlotFile>),
    /// There is no object.
    Missing,
    /// The object has more bytes than a page may read.
    TooLarge(u64),
}

/// A row in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RowLine {
    pub(super) example: i64,
    pub(super) sample: i32,
    /// Code and message of its error; none if it was attributed.
    pub(super) error: Option<(String, String)>,
    pub(super) input: String,
    pub(super) output: String,
}

/// Reads the rows of a slot of the job whose results are in the folder `table`.
pub(super) async fn read(context: &Context, table: &str, slot: &SlotId) -> Result<SlotRows, Error> {
    let permit = context.site.reads.acquire().await;
    let _permit = permit.map_err(|_| Error::Draining)?;
    let key = layout::slot(table, slot);
    let store = context.core().store.as_ref();
    match store.head(&key).await? {
        None => return Ok(SlotRows::Missing),
        Some(listed) if listed.bytes > MOST_BYTES => return Ok(SlotRows::TooLarge(listed.bytes)),
        Some(_) => {}
    }
    let Some(bytes) = store.get(&key).await? else {
        return Ok(SlotRows::Missing);
    };
    let decode = move || {
        let decoded = slot_file::decode(bytes);
        decoded.map_err(|error| Error::Stored {
            key,
            reason: error.to_string(),
        })
    };
    let file = blocking("read the rows of a slot", decode).await?;
    Ok(SlotRows::Read(Box::new(file)))
}

/// Returns the rows of a file as lines.
pub(super) fn lines(file: &SlotFile) -> Vec<RowLine> {
    file.batches.iter().flat_map(lines_of).collect()
}

fn lines_of(batch: &RecordBatch) -> Vec<RowLine> {
    let texts = |name: &str| {
        let column = batch.column_by_name(name);
        column.and_then(|column| column.as_string_opt::<i32>())
    };
    let text = |name: &str, row: usize| {
        let column = texts(name).filter(|column| column.is_valid(row));
        column.map_or_else(String::new, |column| cut(column.value(row)))
    };
    let line = |row| RowLine {
        example: example_of(batch, row),
        sample: sample_of(batch, row),
        error: (text(output::STATUS, row) != output::STATUS_OK).then(|| {
            (
                text(output::ERROR_CODE, row),
                text(output::ERROR_MESSAGE, row),
            )
        }),
        input: text(output::INPUT_TEXT, row),
        output: text(output::GENERATED_TEXT, row),
    };
    (0..batch.num_rows()).map(line).collect()
}

/// Returns the number of a row's example; -1 if the file has none.
pub(super) fn example_of(batch: &RecordBatch, row: usize) -> i64 {
    let ids = batch.column_by_name(output::EXAMPLE_ID);
    let ids = ids.and_then(|ids| ids.as_primitive_opt::<Int64Type>());
    ids.map_or(-1, |ids| ids.value(row))
}

/// Returns the number of a row's sequence.
pub(super) fn sample_of(batch: &RecordBatch, row: usize) -> i32 {
    let samples = batch.column_by_name(output::SAMPLE);
    let samples = samples.and_then(|samples| samples.as_primitive_opt::<Int32Type>());
    samples.map_or(0, |samples| samples.value(row))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MOST_LETTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns the filled slot of a job that has the row `row`; `None` if there is none so far.
pub(super) async fn slot_of_row(
    context: &Context,
    id: &JobId,
    row: u64,
) -> Result<Option<SlotId>, Error> {
    let has_row = |rows: Option<Range<u64>>| rows.is_some_and(|rows| rows.contains(&row));
    let known = context.read_job(id, |_, job| {
        let mut filled = job.slots().filter_map(|(slot, state)| match state {
            SlotState::Filled(_) => Some(slot),
            _ => None,
        });
        let found = filled.find(|slot| has_row(job.plan().rows(slot)));
        let found = found.cloned();
        (job.slots().next().is_some(), found)
    })?;
    let (true, found) = known else {
        let store = context.core().store.as_ref();
        let plan: Option<Plan> = get_json(store, &layout::plan(id)).await?;
        let manifest = manifest(context, id).await?;
        let Some((plan, manifest)) = plan.zip(manifest) else {
            return Ok(None);
        };
        let files = manifest.files.iter();
        let files = files.filter(|file| file.kind != SlotKind::Tombstone);
        let mut slots = files.filter_map(|file| layout::slot_of_key(&file.key));
        return Ok(slots.find(|slot| has_row(plan.rows(slot))));
    };
    Ok(found)
}

/// Reads the list of the files of a sealed job.
pub(super) async fn manifest(context: &Context, id: &JobId) -> Result<Option<Manifest>, Error> {
    get_json(context.core().store.as_ref(), &layout::sealed(id)).await
}

#[cfg(test)]
mod tests {
    use whence_schemas::SlotKind;

    use super::*;
    use crate::testing::{object, slot, spec};

    #[test]
    fn rows_are_listed_with_their_numbers() {
        let bytes = object(&spec("m"), &slot(4), SlotKind::Full, (2, 0));
        let lines = lines(&slot_file::decode(bytes).unwrap());
        let line = |example| RowLine {
            example,
            sample: 0,
            error: None,
            input: String::new(),
            output: String::new(),
        };
        assert_eq!(lines, [line(4), line(5)]);
    }

    #[test]
    fn a_long_text_is_cut_between_letters() {
        let long = "é".repeat(MOST_LETTERS + 1);
        assert_eq!(cut(&long).chars().count(), MOST_LETTERS + 1);
        assert!(cut(&long).ends_with("é…"));
        assert_eq!(cut("short"), "short");
    }
}
