//! `whence export`: every format holds every row, in order, and mistakes are refused by name.

use std::fs;
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::run::{Ran, sql, two_jobs, whence};

/// Exports the job with the method saliency to the file `name` in the root's folder.
fn export(root: &Path, name: &str, more: &[&str]) -> Ran {
    let query = "SELECT job FROM jobs WHERE method = 'saliency'";
    let jobs = sql(root, query, &["--format", "csv"]).succeeded();
    let job = jobs.lines().nth(1).expect("a job").to_owned();
    let (root, file) = (
        root.display().to_string(),
        root.join(name).display().to_string(),
    );
    let arguments = ["export", &job[..10], "--root", &root, "-o", &file];
    whence(&[&arguments[..], more].concat())
}

/// Returns the examples and scores of a file's batches.
fn scores(batches: &[RecordBatch]) -> Vec<(i64, f32)> {
    let of_batch = |batch: &RecordBatch| {
        let ids = batch.column_by_name("example_id").unwrap().clone();
        let scores = batch.column_by_name("score").unwrap().clone();
        let ids = ids.as_primitive::<Int64Type>().values().to_vec();
        let scores = scores.as_primitive::<Float32Type>().values().to_vec();
        ids.into_iter().zip(scores).collect::<Vec<_>>()
    };
    batches.iter().flat_map(of_batch).collect()
}

#[test]
fn every_format_holds_every_score_in_order() {
    let folder = two_jobs();
    for name in ["a.parquet", "a.arrow", "a.csv", "a.jsonl", "a.json"] {
        export(folder.path(), name, &[]).succeeded();
    }
    let open = |name: &str| fs::File::open(folder.path().join(name)).unwrap();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let parquet = ParquetRecordBatchReaderBuilder::try_new(open("a.parquet")).unwrap();
    let parquet: Vec<_> = parquet.build().unwrap().map(Result::unwrap).collect();
    let parquet = scores(&parquet);
    let arrow = arrow::ipc::reader::FileReader::try_new(open("a.arrow"), None).unwrap();
    let arrow: Vec<_> = arrow.map(Result::unwrap).collect();
    assert_eq!(scores(&arrow), parquet);
    assert!(parquet.len() > 1000 && parquet.is_sorted_by_key(|(example, _)| *example));
    assert_eq!(read("a.csv").lines().count(), parquet.len() + 1);
    let lines = read("a.jsonl");
    let rows: Vec<serde_json::Value> = serde_json::from_str(&read("a.json")).unwrap();
    assert_eq!(rows.len(), parquet.len());
    for ((line, row), (example, score)) in lines.lines().zip(&rows).zip(&parquet) {
        assert_eq!(
            &serde_json::from_str::<serde_json::Value>(line).unwrap(),
            row
        );
        assert_eq!(row["example_id"], *example);
        assert_eq!(row["score"].as_f64().unwrap() as f32, *score);
    }
}

#[test]
fn other_tables_are_exported_too() {
    let folder = two_jobs();
    let view = ["--view", "step_scores", "--format", "csv"];
    export(folder.path(), "scores", &view).succeeded();
    let text = fs::read_to_string(folder.path().join("scores")).unwrap();
    assert!(
        text.starts_with("job,model,method,dataset,example_id,sample,step,"),
        "{text}"
    );
    assert!(text.contains(",probability,"), "{text}");
    // Only the named job is there.
    assert!(!text.contains(",attention,"), "{text}");
    export(folder.path(), "examples.jsonl", &["--view", "examples"]).succeeded();
    let text = fs::read_to_string(folder.path().join("examples.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 8);
}

#[test]
fn mistakes_are_refused_before_a_file_is_made() {
    let folder = two_jobs();
    export(folder.path(), "a.xlsx", &[]).is_refused_with(&["a.xlsx", "--format parquet"]);
    export(folder.path(), "a.csv", &["--view", "attribution"])
        .is_refused_with(&["no table `attribution`", "did you mean `attributions`?"]);
    export(folder.path(), "a.csv", &["--view", "examples"])
        .is_refused_with(&["CSV cannot hold the column `source_tokens`", "jsonl"]);
    for name in ["a.xlsx", "a.csv"] {
        assert!(!folder.path().join(name).exists(), "{name}");
    }
}
