//! `whence attribute-context-dataset`, and what is asked of its table.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::run::{Ran, marian, sql, whence};

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

/// Returns the rows of a query as JSON.
fn rows(root: &Path, query: &str) -> Vec<Value> {
    let answer = sql(root, query, &["--format", "json"]).succeeded();
    serde_json::from_str(&answer).expect("an array")
}

/// Returns the values that identify a score, and the score in single precision.
fn scored(values: &[&Value], score: &Value) -> String {
    format!("{values:?} {}", score.as_f64().expect("a number") as f32)
}

/// The file has the fields of Inseq's `attribute-context`; the tables have the same in rows.
#[test]
fn the_tables_hold_what_the_saved_file_holds() {
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("out.jsonl").display().to_string();
    let contrast = ["--attributed-fn", "contrast_prob_diff"];
    let files = ["--save-path", &saved, "--no-show-viz"];
    analyze(folder.path(), &[&FIELDS[..], &contrast, &files].concat()).succeeded();
    let root = folder.path().join("out");
    let (mut tokens, mut scores) = (Vec::new(), Vec::new());
    for line in fs::read_to_string(&saved).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let (id, context) = (&row["example_id"], &row["input_context_tokens"]);
        for cci in row["cci_scores"].as_array().unwrap() {
            let target = &cci["cti_idx"];
            tokens.push(scored(&[id, target, &cci["cti_token"]], &cci["cti_score"]));
            let of_context = cci["input_context_scores"].as_array().unwrap().iter();
            for (position, score) in of_context.enumerate() {
                let position_value = Value::from(position);
                scores.push(scored(
                    &[id, target, &position_value, &context[position]],
                    score,
                ));
            }
        }
    }
    assert!(
        tokens.len() > 1 && scores.len() > 4,
        "{tokens:?} {scores:?}"
    );
    let query = "SELECT * FROM context_sensitive_tokens ORDER BY example_id, rank";
    let found = rows(&root, query);
    let found = found.iter().map(|row| {
        scored(
            &[&row["example_id"], &row["position"], &row["token"]],
            &row["score"],
        )
    });
    assert_eq!(found.collect::<Vec<_>>(), tokens);
    let query = "SELECT a.* FROM context_attributions a JOIN context_sensitive_tokens t \
                 ON t.example_id = a.example_id AND t.position = a.target_position \
                 ORDER BY a.example_id, t.rank, a.source_position";
    let found = rows(&root, query);
    let found = found.iter().map(|row| {
        let [id, target] = [&row["example_id"], &row["target_position"]];
        let [position, token] = [&row["source_position"], &row["source_token"]];
        scored(&[id, target, position, token], &row["score"])
    });
    assert_eq!(found.collect::<Vec<_>>(), scores);
}

#[test]
fn cues_are_the_strongest_tokens_of_a_context() {
    let folder = tempfile::tempdir().unwrap();
    let chosen = [
        "--attribution-topk",
        "2",
        "--context-sensitivity-topk",
        "1",
        "--attribution-std-threshold=-9",
        "--no-show-viz",
    ];
    analyze(folder.path(), &[&FIELDS[..], &chosen].concat()).succeeded();
    let root = folder.path().join("out");
    let cues = rows(
        &root,
        "SELECT example_id, rank FROM context_cues ORDER BY example_id, rank",
    );
    let cues: Vec<_> = cues
        .iter()
        .map(|row| (row["example_id"].as_u64(), row["rank"].as_u64()))
        .collect();
    let expected =
        [(0, 1), (0, 2), (1, 1), (1, 2)].map(|(example, rank)| (Some(example), Some(rank)));
    assert_eq!(cues, expected);
    let counts = "SELECT (SELECT count(*) FROM context_sensitive_tokens) AS tokens, \
                  (SELECT count(*) FROM contexts WHERE status = 'ok') AS examples, \
                  (SELECT count(*) FROM examples) AS attributed, \
                  (SELECT min(message) FROM failures WHERE kind = 'example') AS message";
    let counts = &rows(&root, counts)[0];
    assert_eq!(counts["tokens"], 2);
    assert_eq!(counts["examples"], 2);
    assert_eq!(counts["attributed"], 0);
    let message = counts["message"].as_str().unwrap();
    assert!(message.contains("`before`"), "{message}");
}

#[test]
fn a_page_has_every_analyzed_row() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html").display().to_string();
    analyze(
        folder.path(),
        &[&FIELDS[..], &["--viz-path", &page, "--no-show-viz"]].concat(),
    )
    .succeeded();
    let html = fs::read_to_string(&page).unwrap();
    assert_eq!(html.matches("<details ").count(), 2);
    assert!(html.contains("<b>example 1</b>"), "{html}");
    assert!(html.contains("The window is open."), "{html}");
    // Every link has its place, also if two examples have tokens of the same number.
    let links = html
        .split("href=\"#")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap());
    let links: Vec<&str> = links.collect();
    assert!(links.len() > 1);
    for link in links {
        assert_eq!(html.matches(&format!("id=\"{link}\"")).count(), 1, "{link}");
    }
}
