//! The rows of a table, compared one by one with those of an undisturbed run.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use whence_schemas::{JobSpec, output};

use super::{Row, Violation};
use crate::table;

/// Returns how the rows of a job differ from `expected`.
pub(super) fn violations(root: &Path, spec: &JobSpec, expected: &RecordBatch) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut rows: BTreeMap<Row, RecordBatch> = BTreeMap::new();
    for path in table::files(root, spec) {
        let file = path.strip_prefix(root).expect("it is below the root");
        let file = file.display().to_string();
        let batches = match read(&path) {
            Ok(batches) => batches,
            Err(reason) => {
                found.push(Violation::Damaged { file, reason });
                continue;
            }
        };
        for (row, values) in batches.iter().flat_map(split) {
            if rows.insert(row, values).is_some() {
                let file = file.clone();
                found.push(Violation::Duplicate { row, file });
            }
        }
    }
    for (row, values) in split(expected) {
        let Some(others) = rows.remove(&row) else {
            found.push(Violation::Lost(row));
            continue;
        };
        let column = first_difference(&values, &others);
        found.extend(column.map(|column| Violation::Changed { row, column }));
    }
    found.extend(rows.into_keys().map(Violation::Unexpected));
    found
}

fn read(path: &Path) -> Result<Vec<RecordBatch>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(ParquetRecordBatchReaderBuilder::build);
    let reader = reader.map_err(|error| error.to_string())?;
    reader
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

/// Returns each row of a batch as a batch of its own.
fn split(batch: &RecordBatch) -> Vec<(Row, RecordBatch)> {
    let ids = batch[output::EXAMPLE_ID].as_primitive::<Int64Type>();
    let samples = batch[output::SAMPLE].as_primitive::<Int32Type>();
    let row = |index: usize| Row {
        example: ids.value(index),
        sample: samples.value(index),
    };
    let indices = 0..batch.num_rows();
    let rows = indices.map(|index| (row(index), batch.slice(index, 1)));
    rows.collect()
}

/// Returns the name of the first column in which two rows differ. Numbers are compared by their bits.
fn first_difference(one: &RecordBatch, other: &RecordBatch) -> Option<String> {
    if one.schema() != other.schema() {
        return Some("schema".to_owned());
    }
    let columns = one.columns().iter().zip(other.columns());
    let differs = columns.map(|(one, other)| one.to_data() != other.to_data());
    let place = differs.into_iter().position(|differs| differs)?;
    Some(one.schema().field(place).name().clone())
}
