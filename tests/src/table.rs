//! Reads the tables that jobs wrote, as any Parquet reader would.

use std::path::{Path, PathBuf};

use arrow::array::{AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Int32Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use whence_coordinator::durable::manifest::Manifest;
use whence_schemas::{Footer, JobSpec, layout, output, slot_file};

/// Returns the Parquet files of a job below the local storage root `root`.
///
/// # Panics
///
/// If the table's folder cannot be read.
pub fn files(root: &Path, spec: &JobSpec) -> Vec<PathBuf> {
    let folder = root.join(layout::table(spec));
    let Ok(entries) = std::fs::read_dir(&folder) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("a folder can be read").path())
        .collect();
    files.sort_unstable();
    files
}

/// Checks that a job is sealed and that its manifest lists every file of its table exactly once.
/// Returns the manifest.
///
/// # Panics
///
/// If they differ, or the job is not sealed.
pub fn sealed(root: &Path, spec: &JobSpec) -> Manifest {
    let text = std::fs::read(root.join(layout::sealed(&spec.id()))).expect("the job is sealed");
    let manifest: Manifest = serde_json::from_slice(&text).expect("a manifest");
    let named: Vec<_> = manifest
        .files
        .iter()
        .map(|file| root.join(&file.key))
        .collect();
    assert_eq!(files(root, spec), named, "listing and manifest differ");
    manifest
}

/// Reads all rows of a job, sorted by example and sample.
///
/// Two runs of a job give equal rows: what differs between them (attempt, worker) is stored in the
/// files' footers.
///
/// # Panics
///
/// If a file is damaged, or a sample of an example occurs twice or is missing.
pub fn read(root: &Path, spec: &JobSpec) -> RecordBatch {
    let mut batches = Vec::new();
    for path in files(root, spec) {
        let file = std::fs::File::open(&path).expect("a listed file opens");
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        batches.extend(
            builder
                .build()
                .expect("a reader")
                .map(|batch| batch.expect("a batch")),
        );
    }
    let schema = batches.first().expect("the table has rows").schema();
    let rows = concat_batches(&schema, &batches).expect("all slots have one schema");
    in_order(&rows)
}

fn in_order(rows: &RecordBatch) -> RecordBatch {
    let ids = rows
        .column_by_name(output::EXAMPLE_ID)
        .expect("every table has ids");
    let ids = ids.as_primitive::<Int64Type>().values();
    let samples = rows.column_by_name(output::SAMPLE);
    let samples = samples.expect("every table has samples");
    let samples = samples.as_primitive::<Int32Type>().values();
    let key = |row: u32| (ids[row as usize], samples[row as usize]);
    let mut order: Vec<u32> = (0..ids.len() as u32).collect();
    order.sort_unstable_by_key(|&row| key(row));
    let mut last = (-1, 0);
    for &row in &order {
        let (id, sample) = key(row);
        let follows = (id, sample) == (last.0, last.1 + 1) || (id, sample) == (last.0 + 1, 0);
        assert!(
            follows,
            "sample {sample} of example {id} follows {last:?}: one is missing or stands twice"
        );
        last = (id, sample);
    }
    take_record_batch(rows, &UInt32Array::from(order)).expect("the rows are there")
}

/// Returns the footers of the files of a job's table.
///
/// # Panics
///
/// If one cannot be read.
pub fn footers(root: &Path, spec: &JobSpec) -> Vec<Footer> {
    let footer = |path: &PathBuf| {
        let bytes = std::fs::read(path).expect("a file of the table");
        let file = slot_file::decode(bytes.into()).expect("a whole file");
        file.footer
    };
    files(root, spec).iter().map(footer).collect()
}
