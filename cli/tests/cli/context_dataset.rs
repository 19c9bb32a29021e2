//! `whence attribute-context-dataset`, and what is asked of its table.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::run::{Ran, marian, whence};

const ROWS: &str = r#"{"before": "Open the Navigator.", "text": "Then close it.", "after": "Fermez-le ensuite."}
{"before": "The window is open.", "text": "Close it.", "after": "Fermez-la."}
{"before": "", "text": "Save it.", "after": "Enregistrez-le."}
"#;

fn analyze(folder: &Path, more: &[&str]) -> Ran {
    let rows = folder.join("rows.jsonl");
    fs::write(&rows, ROWS).unwrap();
    let (rows, root) = (rows.display().to_string(), folder.join("out"));
    let (root, model) = (root.display().to_string(), marian());
    let mut arguments = vec![
        "attribute-context-dataset",
        "-m",
        &model,
        "--dataset",
        &rows,
        "--root",
        &root,
        "--input-current-field",
        "text",
    ];
    arguments.extend(more);
    whence(&arguments)
}

const FIELDS: [&str; 4] = [
    "--input-context-field",
    "before",
    "--output-current-field",
    "after",
];

#[test]
fn every_row_is_analyzed_into_the_table_and_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("out.jsonl").display().to_string();
    let more = [&FIELDS[..], &["--save-path", &saved, "--no-show-viz"]].concat();
    let ran = analyze(folder.path(), &more);
    assert!(ran.stderr.contains("1 of 3 rows failed"), "{}", ran.stderr);
    assert_eq!(ran.succeeded(), "");
    let text = fs::read_to_string(&saved).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    let row = &lines[1];
    assert_eq!(row["example_id"], 1);
    assert_eq!(row["input_context"], "The window is open.");
    let tokens = row["output_current_tokens"].as_array().unwrap().len();
    assert_eq!(row["cti_scores"].as_array().unwrap().len(), tokens);
    let again = analyze(folder.path(), &more);
    assert!(
        again.stderr.contains("already complete"),
        "{}",
        again.stderr
    );
}

#[test]
fn the_first_row_is_shown_and_others_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let shown = analyze(folder.path(), &FIELDS).succeeded();
    assert!(shown.contains("Open the Navigator."), "{shown}");
    let root = folder.path().join("out").display().to_string();
    let jobs = folder.path().join("out/jobs");
    let job = fs::read_dir(jobs).unwrap().next().unwrap().unwrap();
    let job = job.file_name().into_string().unwrap();
    let second = whence(&["show", &job, "1", "--root", &root]).succeeded();
    assert!(second.contains("The window is"), "{second}");
    whence(&["show", &job, "2", "--root", &root]).ended_with(1, &["`before`"]);
}

#[test]
fn what_nobody_can_be_asked_is_refused_before_the_first_row() {
    let folder = tempfile::tempdir().unwrap();
    analyze(folder.path(), &[]).is_refused_with(&["--input-context-field"]);
    let split = [&FIELDS[..], &["--output-template", "{context} {current}"]].concat();
    analyze(folder.path(), &split).is_refused_with(&["nobody can be asked", "auto"]);
    let metric = [&FIELDS[..], &["--context-sensitivity-metric", "entropy"]].concat();
    analyze(folder.path(), &metric).is_refused_with(&["`entropy`", "contrast_logits"]);
    assert!(!folder.path().join("out").exists());
}
