//! One test suite for every format: the same rows must come out, whatever the file's format.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::file::properties::WriterProperties;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Fields, Int64Type};
use arrow::ipc::writer::StreamWriter;
use whence_datasets::pin;
use whence_datasets::resolve::LocalSource;
use whence_schemas::job::DatasetSource;
use whence_schemas::{DatasetLocation, DatasetOrigin, Plan, SlotId, input};

use super::*;
use crate::Error;

/// Source, target and label of each row. `None` is written as a null or empty source.
const ROWS: [(Option<&str>, &str, &str); 7] = [
    (Some("one, \"quoted\""), "un", "a"),
    (Some("two"), "deux", "b"),
    (Some("three\nlines"), "trois", "a"),
    (None, "quatre", "b"),
    (Some("fünf 五"), "cinq", "a"),
    (Some("six"), "six", "b"),
    (Some("seven"), "sept", "a"),
];

fn write_jsonl(folder: &Path) -> PathBuf {
    let line = |(source, target, label): &(Option<&str>, &str, &str)| {
        serde_json::json!({"source": source, "target": target, "label": label}).to_string()
    };
    let lines: Vec<_> = ROWS.iter().map(line).collect();
    let path = folder.join("rows.jsonl");
    fs::write(&path, lines.join("\n\n")).unwrap();
    path
}

fn write_json_list(folder: &Path) -> PathBuf {
    let object = |(source, target, label): &(Option<&str>, &str, &str)| serde_json::json!({"source": source, "target": target, "label": label});
    let rows: Vec<_> = ROWS.iter().map(object).collect();
    let path = folder.join("list.json");
    fs::write(&path, serde_json::to_string_pretty(&rows).unwrap()).unwrap();
    path
}

fn write_arrow(folder: &Path) -> PathBuf {
    let path = folder.join("rows.arrow");
    let batch = columns();
    let file = fs::File::create(&path).unwrap();
    let mut writer = StreamWriter::try_new(file, &batch.schema()).unwrap();
    for start in (0..ROWS.len()).step_by(3) {
        let rows = 3.min(ROWS.len() - start);
        writer.write(&batch.slice(start, rows)).unwrap();
    }
    writer.finish().unwrap();
    path
}

fn write_delimited(folder: &Path, extension: &str, separator: &str) -> PathBuf {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut text = ["source", "target", "label"].join(separator) + "\r\n";
    for (source, target, label) in ROWS {
        let source = source.map_or_else(String::new, quoted);
        text += &[source, quoted(target), label.to_owned()].join(separator);
        text += "\r\n";
    }
    let path = folder.join("rows").with_extension(extension);
    fs::write(&path, text).unwrap();
    path
}

fn columns() -> RecordBatch {
    let source: ArrayRef = Arc::new(ROWS.iter().map(|row| row.0).collect::<StringArray>());
    let target: ArrayRef = Arc::new(ROWS.iter().map(|row| Some(row.1)).collect::<StringArray>());
    let label: ArrayRef = Arc::new(ROWS.iter().map(|row| Some(row.2)).collect::<StringArray>());
    let columns = [("source", source), ("target", target), ("label", label)];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn write_parquet(folder: &Path) -> PathBuf {
    let path = folder.join("rows.parquet");
    write_batch(&path, &columns(), 2);
    path
}

fn write_batch(path: &Path, batch: &RecordBatch, group_rows: usize) {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group_rows))
        .build();
    let file = fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn dataset(paths: &[PathBuf], split: &str) -> DatasetSource {
    let paths = paths.iter().map(|path| path.to_str().unwrap().to_owned());
    let location = DatasetLocation {
        data_files: paths.collect(),
        ..DatasetLocation::of(DatasetOrigin::Files)
    };
    let pinned = pin(&location, split, &LocalSource).unwrap();
    let digest = pinned.digest();
    DatasetSource {
        split: split.to_owned(),
        generated_field: Some("target".to_owned()),
        columns: vec!["label".to_owned()],
        ..DatasetSource::new(location, pinned.format, digest, "source")
    }
}

/// Id, source, target and label of a row that was read.
type ReadRow = (i64, Option<String>, Option<String>, Option<String>);

/// Reads every row of every shard. Each shard is opened at its own cursor, as a worker would.
fn read_all(dataset: &DatasetSource, plan: Plan) -> Vec<ReadRow> {
    let plan = Arc::new(plan);
    let mut rows = Vec::new();
    for index in 0..plan.shards.len() {
        let mut reader = read_rows(dataset, &plan, &SlotId::of_shard(index)).unwrap();
        while let Some(batch) = reader.next_batch().unwrap() {
            let ids = batch
                .column_by_name(input::EXAMPLE_ID)
                .unwrap()
                .as_primitive::<Int64Type>()
                .clone();
            let text = |name: &str| {
                batch
                    .column_by_name(name)
                    .unwrap()
                    .as_string::<i32>()
                    .clone()
            };
            let columns = batch
                .column_by_name(input::COLUMNS)
                .unwrap()
                .as_struct()
                .clone();
            let labels = columns.column(0).as_string::<i32>().clone();
            let (inputs, targets) = (text(input::INPUT_TEXT), text(input::GENERATED_TEXT));
            let at = |texts: &StringArray, row: usize| {
                texts.is_valid(row).then(|| texts.value(row).to_owned())
            };
            rows.extend((0..batch.num_rows()).map(|row| {
                (
                    ids.value(row),
                    at(&inputs, row),
                    at(&targets, row),
                    at(&labels, row),
                )
            }));
        }
    }
    rows
}

#[test]
fn every_format_gives_the_same_rows_from_every_shard() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        write_jsonl(folder.path()),
        write_json_list(folder.path()),
        write_arrow(folder.path()),
        write_delimited(folder.path(), "csv", ","),
        write_delimited(folder.path(), "tsv", "\t"),
        write_parquet(folder.path()),
    ];
    let text = |text: &str| Some(text.to_owned());
    let expected: Vec<_> = (0..)
        .zip(ROWS)
        .map(|(id, (source, target, label))| (id, source.and_then(text), text(target), text(label)))
        .collect();
    for file in files {
        let dataset = dataset(std::slice::from_ref(&file), "train");
        for shard_tokens in [1, 5, 1000] {
            let plan = plan(&dataset, shard_tokens, Generated::NOTHING).unwrap();
            assert_eq!(plan.num_rows(), 7);
            assert_eq!(
                plan.shards.len() == 1,
                shard_tokens == 1000,
                "{}",
                file.display()
            );
            assert_eq!(read_all(&dataset, plan), expected, "{}", file.display());
        }
    }
}

#[test]
fn slices_and_several_files_number_their_rows_onwards() {
    let folder = tempfile::tempdir().unwrap();
    let first = write_jsonl(folder.path());
    let second = folder.path().join("more.jsonl");
    fs::copy(&first, &second).unwrap();
    let files = [first, second];
    let ids = |split: &str| -> Vec<(i64, Option<String>)> {
        let dataset = dataset(&files, split);
        let plan = plan(&dataset, 3, Generated::NOTHING).unwrap();
        read_all(&dataset, plan)
            .into_iter()
            .map(|(id, input, ..)| (id, input))
            .collect()
    };
    assert_eq!(ids("train").len(), 14);
    let text = |id, text: &str| (id, Some(text.to_owned()));
    assert_eq!(
        ids("train[5:9]"),
        [
            text(0, "six"),
            text(1, "seven"),
            text(2, "one, \"quoted\""),
            text(3, "two"),
        ]
    );
    assert_eq!(
        ids("train[-2:]+train[:1]"),
        [text(0, "six"), text(1, "seven"), text(2, "one, \"quoted\""),]
    );
}

#[test]
fn a_split_slot_reads_its_half() {
    let folder = tempfile::tempdir().unwrap();
    for file in [write_jsonl(folder.path()), write_parquet(folder.path())] {
        let dataset = dataset(&[file], "train");
        let plan = Arc::new(plan(&dataset, 1000, Generated::NOTHING).unwrap());
        let second = &SlotId::of_shard(0).split()[1];
        let mut reader = read_rows(&dataset, &plan, second).unwrap();
        let batch = reader.next_batch().unwrap().unwrap();
        let ids = batch
            .column_by_name(input::EXAMPLE_ID)
            .unwrap()
            .as_primitive::<Int64Type>()
            .clone();
        assert_eq!(ids.values(), &[3, 4, 5, 6]);
        assert!(reader.next_batch().unwrap().is_none());
    }
}

#[test]
fn nested_fields_of_parquet_are_reached_by_path() {
    let folder = tempfile::tempdir().unwrap();
    let en: ArrayRef = Arc::new(StringArray::from(vec!["Hello", "Bye"]));
    let field = Arc::new(Field::new("en", DataType::Utf8, true));
    let translation = StructArray::new(Fields::from(vec![field]), vec![en], None);
    let batch =
        RecordBatch::try_from_iter([("translation", Arc::new(translation) as ArrayRef)]).unwrap();
    let path = folder.path().join("nested.parquet");
    write_batch(&path, &batch, 10);
    let dataset = DatasetSource {
        input_field: "translation.en".to_owned(),
        generated_field: None,
        columns: Vec::new(),
        ..dataset(&[path], "train")
    };
    let plan = Arc::new(plan(&dataset, 1000, Generated::NOTHING).unwrap());
    let batch = read_rows(&dataset, &plan, &SlotId::of_shard(0))
        .unwrap()
        .next_batch()
        .unwrap()
        .unwrap();
    let inputs = batch
        .column_by_name(input::INPUT_TEXT)
        .unwrap()
        .as_string::<i32>()
        .clone();
    assert_eq!((inputs.value(0), inputs.value(1)), ("Hello", "Bye"));
}

#[test]
fn what_is_generated_counts_for_every_sequence() {
    let folder = tempfile::tempdir().unwrap();
    let file = write_jsonl(folder.path());
    let dataset = dataset(&[file], "train");
    let work = |tokens, sequences| {
        let generated = Generated { tokens, sequences };
        let plan = plan(&dataset, 1000, generated).unwrap();
        let tokens = plan.shards.iter().map(|shard| shard.estimated_tokens);
        tokens.sum::<u64>()
    };
    // Each row costs one token in addition to its texts.
    let (rows, texts) = (7, work(0, 1) - 7);
    assert_eq!(work(20, 1), rows + texts + 20 * rows);
    assert_eq!(work(20, 3), rows + 3 * (texts + 20 * rows));
}

#[test]
fn a_field_no_row_has_is_refused_with_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = DatasetSource {
        input_field: "sorce".to_owned(),
        ..dataset(&[write_jsonl(folder.path())], "train")
    };
    let error = plan(&wrong, 10, Generated::NOTHING)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`sorce`") && error.contains("did you mean `source`"),
        "{error}"
    );
    assert!(error.contains("`label`, `source`, `target`"), "{error}");
}

#[test]
fn a_slice_without_rows_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(&[write_jsonl(folder.path())], "train[3:3]");
    let error = plan(&dataset, 10, Generated::NOTHING).unwrap_err();
    let is_empty = matches!(error, Error::Dataset(whence_datasets::Error::Empty { .. }));
    assert!(is_empty, "{error}");
}

#[test]
fn a_dataset_that_changed_since_the_job_was_submitted_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = write_jsonl(folder.path());
    let dataset = dataset(std::slice::from_ref(&path), "train");
    let changed = fs::read_to_string(&path).unwrap().replace("seven", "SEVEN");
    fs::write(&path, changed).unwrap();
    let error = plan(&dataset, 10, Generated::NOTHING).unwrap_err();
    assert!(matches!(
        error,
        Error::Dataset(whence_datasets::Error::Changed { .. })
    ));
    assert_eq!(error.kind(), whence_schemas::ErrorKind::Data);
}

#[test]
fn a_truncated_parquet_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = write_parquet(folder.path());
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = plan(&dataset(&[path], "train"), 10, Generated::NOTHING).unwrap_err();
    let message = whence_schemas::chain(&error);
    assert!(message.contains("rows.parquet"), "{message}");
    assert_eq!(error.kind(), whence_schemas::ErrorKind::Data);
}

#[test]
fn a_template_makes_the_input_of_several_fields() {
    let folder = tempfile::tempdir().unwrap();
    let mut dataset = DatasetSource {
        input_field: String::new(),
        input_template: Some("{label}: {source}".to_owned()),
        ..dataset(&[write_jsonl(folder.path())], "train")
    };
    let inputs: Vec<_> = {
        let plan = plan(&dataset, 1000, Generated::NOTHING).unwrap();
        let rows = read_all(&dataset, plan).into_iter();
        rows.map(|(_, input, target, label)| (input, target, label))
            .collect()
    };
    let text = |text: &str| Some(text.to_owned());
    let first = text("a: one, \"quoted\"");
    assert_eq!(inputs[0], (first, text("un"), text("a")));
    assert_eq!(inputs[3], (None, text("quatre"), text("b")));

    dataset.input_template = Some("{label} {sorce}".to_owned());
    let error = plan(&dataset, 1000, Generated::NOTHING).unwrap_err();
    assert!(error.to_string().contains("`source`"), "{error}");
    dataset.input_template = Some("{label".to_owned());
    let error = plan(&dataset, 1000, Generated::NOTHING).unwrap_err();
    assert!(error.to_string().contains("{label"), "{error}");
}

/// Reads a slot, and returns the error if its rows are not those that were planned.
fn reading(dataset: &DatasetSource, plan: &Arc<Plan>, slot: &SlotId) -> Result<u64, Error> {
    let mut rows = read_rows(dataset, plan, slot)?;
    let mut read = 0;
    while let Some(batch) = rows.next_batch()? {
        read += batch.num_rows() as u64;
    }
    Ok(read)
}

#[test]
fn rows_that_changed_after_planning_are_refused_by_the_name_of_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = write_jsonl(folder.path());
    let planned = fs::read_to_string(&path).unwrap();
    let dataset = dataset(std::slice::from_ref(&path), "train");
    let plan = Arc::new(plan(&dataset, 1000, Generated::NOTHING).unwrap());
    let shard = SlotId::of_shard(0);
    let slots = [
        shard.clone(),
        shard.split()[0].clone(),
        shard.split()[1].clone(),
    ];
    let lines = planned.lines().count();
    let shorter = planned
        .lines()
        .take(lines - 1)
        .collect::<Vec<_>>()
        .join("\n");
    // The same length, an inserted row, and a row less: each changes what a slot would get.
    for changed in [
        planned.replace("seven", "SEVEN"),
        format!("{}\n{planned}", planned.lines().next().unwrap()),
        shorter,
        String::new(),
    ] {
        fs::write(&path, &changed).unwrap();
        for slot in &slots {
            let error = reading(&dataset, &plan, slot).unwrap_err();
            assert!(error.ends_job(), "{error}");
            assert!(error.to_string().contains("rows.jsonl"), "{error}");
        }
    }
    // What a job does not read may change.
    fs::write(&path, format!("{planned}\n{{\"source\": \"more\"}}")).unwrap();
    let read: u64 = slots
        .iter()
        .map(|slot| reading(&dataset, &plan, slot).unwrap())
        .sum();
    assert_eq!(read, 14);
}

#[test]
fn a_slot_too_large_to_keep_is_read_twice_and_compared_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.jsonl");
    let text = |letter: &str| letter.repeat(3 << 20);
    let row = |letter: &str| {
        serde_json::json!({"source": text(letter), "target": "x", "label": "y"}).to_string()
    };
    let write = |letters: [&str; 3]| fs::write(&path, letters.map(row).join("\n")).unwrap();
    write(["a", "b", "c"]);
    let dataset = dataset(std::slice::from_ref(&path), "train");
    let plan = Arc::new(plan(&dataset, u64::MAX, Generated::NOTHING).unwrap());
    let shard = SlotId::of_shard(0);
    assert_eq!(reading(&dataset, &plan, &shard).unwrap(), 3);
    let mut rows = read_rows(&dataset, &plan, &shard).unwrap();
    assert_eq!(rows.next_batch().unwrap().unwrap().num_rows(), 1);
    write(["a", "b", "d"]);
    let rest: Result<Vec<_>, _> = std::iter::from_fn(|| rows.next_batch().transpose()).collect();
    assert!(rest.unwrap_err().ends_job());
}
