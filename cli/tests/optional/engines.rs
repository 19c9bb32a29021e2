//! The tables have the same columns and the same rows in DuckDB and Polars as in `whence sql`, for
//! jobs that differ in their step scores, columns and models.

use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value};
use whence_tests::python;

use crate::run::{attribute_dataset, ended, fixture, marian, sql, two_jobs, whence};

/// Returns a root with jobs of every kind: step scores of several names, columns, scores within one
/// sequence, a decoder-only model, a contrast, several sequences per row, and error rows.
fn jobs_of_every_kind() -> tempfile::TempDir {
    let folder = two_jobs();
    let asked = r#"{"output_encoder_self_scores": true, "output_decoder_self_scores": true}"#;
    let within = [
        "-a",
        "value_zeroing",
        "--attribution_kwargs",
        asked,
        "--hide",
    ];
    attribute_dataset(folder.path(), "train[:3]", &within).succeeded();
    let contrast = [
        "--attributed_fn",
        "contrast_prob_diff",
        "--contrast_target_field",
        "translation.en",
        "--step_scores",
        "entropy",
        "--step_scores",
        "perplexity",
        "--columns",
        "translation.en",
        "--hide",
    ];
    attribute_dataset(folder.path(), "train[:2]", &contrast).succeeded();
    let rows = folder.path().join("rows.jsonl");
    let lines =
        "{\"text\": \"The professor was\"}\n{\"text\": null}\n{\"text\": \"It's é, isn't it?\"}\n";
    std::fs::write(&rows, lines).unwrap();
    let root = folder.path().display().to_string();
    let generated = whence(&[
        "attribute-dataset",
        "-m",
        &fixture("models/glass-en"),
        "-d",
        &rows.display().to_string(),
        "-in",
        "text",
        "--root",
        &root,
        "--generation_kwargs",
        r#"{"max_new_tokens": 4, "num_beams": 2, "num_return_sequences": 2}"#,
        "--hide",
    ]);
    generated.succeeded();
    analyze_contexts(&root);
    folder
}

/// Analyzes a context per row below `root`; one row has none.
fn analyze_contexts(root: &str) {
    let rows = Path::new(root).join("contexts.jsonl");
    let lines = "{\"before\": \"The window is open.\", \"text\": \"Close it.\"}\n\
                 {\"before\": null, \"text\": \"Save it.\"}\n";
    std::fs::write(&rows, lines).unwrap();
    let analyzed = whence(&[
        "attribute-context-dataset",
        "-m",
        &marian(),
        "-d",
        &rows.display().to_string(),
        "--input-current-field",
        "text",
        "--input-context-field",
        "before",
        "--attributed-fn",
        "contrast_prob_diff",
        "--context-sensitivity-topk",
        "2",
        "--columns",
        "text",
        "--root",
        root,
        "--no-show-viz",
    ]);
    analyzed.succeeded();
}

/// Returns, for each table, the query that sums up its columns: counts of texts, sums of numbers.
fn summaries(root: &Path) -> Vec<(String, String)> {
    let columns = sql(root, "SELECT * FROM documentation", &["--format", "json"]).succeeded();
    let columns: Vec<Map<String, Value>> = serde_json::from_str(&columns).unwrap();
    let text = |row: &Map<String, Value>, name: &str| row[name].as_str().unwrap().to_owned();
    let mut tables: Vec<(String, Vec<String>)> = Vec::new();
    for column in &columns {
        let (table, name) = (text(column, "table"), text(column, "column"));
        // DuckDB has the partitions last, and others keep them among the columns of the file.
        let summary = match text(column, "type").as_str() {
            "text" => format!("count(DISTINCT {name}) AS {name}"),
            "boolean" => format!("sum(CASE WHEN {name} THEN 1 ELSE 0 END) AS {name}"),
            "timestamp" => format!("count({name}) AS {name}"),
            numeric if numeric.contains("int") || numeric.contains("float") => {
                if numeric.starts_with("list") || numeric.starts_with("struct") {
                    continue;
                }
                format!("sum(CAST({name} AS DOUBLE)) AS {name}")
            }
            _ => continue,
        };
        match tables.last_mut() {
            Some((last, summaries)) if *last == table => summaries.push(summary),
            _ => tables.push((table, vec!["count(*) AS all_rows".to_owned(), summary])),
        }
    }
    let query = |(table, columns): (String, Vec<String>)| {
        let query = format!("SELECT {} FROM {table}", columns.join(", "));
        (table, query)
    };
    tables.into_iter().map(query).collect()
}

/// Runs the summaries in another engine and compares them with ours. `script` defines the views of
/// `sys.argv[1]` and a function `ask` that returns the row of a query as a dictionary.
fn same_rows(engine: &str, script: &str) {
    let contexts = tempfile::tempdir().unwrap();
    analyze_contexts(&contexts.path().display().to_string());
    for root in [jobs_of_every_kind(), contexts] {
        same_rows_in(root.path(), engine, script);
    }
}

fn same_rows_in(root: &Path, engine: &str, script: &str) {
    let views = whence(&["views", engine, "--root", &root.display().to_string()]).succeeded();
    let summaries = summaries(root);
    assert!(summaries.len() >= 18, "{summaries:?}");
    let script = format!(
        "import json, sys\n{script}\nfor query in sys.argv[2:]:\n    \
         print(json.dumps({{k: None if v is None else float(v) for k, v in ask(query).items()}}))"
    );
    let asked = Command::new(python::interpreter())
        .args(["-c", &script, &views])
        .args(summaries.iter().map(|(_, query)| query))
        .output();
    let theirs = ended(asked.expect("Python runs")).succeeded();
    for ((table, query), line) in summaries.iter().zip(theirs.lines()) {
        let ours = sql(root, query, &["--format", "jsonl"]).succeeded();
        let ours: Map<String, Value> = serde_json::from_str(&ours).unwrap();
        let theirs: Map<String, Value> = serde_json::from_str(line).unwrap();
        assert_eq!(ours.len(), theirs.len(), "{table}");
        for (column, value) in &ours {
            let (ours, theirs) = (value.as_f64(), theirs[column].as_f64());
            let (a, b) = (ours.unwrap_or(0.0), theirs.unwrap_or(0.0));
            assert!(
                (a - b).abs() <= 1e-4 * a.abs().max(1.0),
                "{table}.{column}: {a} and {b}"
            );
        }
    }
    assert_eq!(theirs.lines().count(), summaries.len());
}

pub(crate) fn every_table_has_the_same_rows_in_duckdb() {
    same_rows(
        "duckdb",
        "import duckdb
duckdb.sql(sys.argv[1])
def ask(query):
    answer = duckdb.sql(query)
    return dict(zip(answer.columns, answer.fetchall()[0]))",
    );
}

pub(crate) fn every_table_has_the_same_rows_in_polars() {
    same_rows(
        "polars",
        "views = {}
exec(sys.argv[1], views)
def ask(query):
    return views['sql'](query).collect().row(0, named=True)",
    );
}

pub(crate) fn pandas_reads_an_exported_table() {
    let folder = two_jobs();
    let root = folder.path().display().to_string();
    let query = "SELECT job FROM jobs WHERE method = 'attention'";
    let job = sql(folder.path(), query, &["--format", "csv"]).succeeded();
    let job = job.lines().nth(1).unwrap();
    for (name, reader) in [("a.parquet", "read_parquet"), ("a.arrow", "read_feather")] {
        let file = folder.path().join(name).display().to_string();
        whence(&["export", job, "--root", &root, "-o", &file]).succeeded();
        let script = format!(
            "import pandas, sys
table = pandas.{reader}(sys.argv[1])
print(len(table), table.method.iloc[0], round(float(table.score.sum()), 3))"
        );
        let asked = Command::new(python::interpreter())
            .args(["-c", &script, &file])
            .output();
        let theirs = ended(asked.expect("Python runs")).succeeded();
        let query = "SELECT count(*) AS n, min(method) AS m, round(sum(CAST(score AS DOUBLE)), 3) AS s \
                     FROM attributions WHERE method = 'attention'";
        let ours = sql(folder.path(), query, &["--format", "csv"]).succeeded();
        assert_eq!(
            ours.lines().nth(1).unwrap(),
            theirs.trim().replace(' ', ",")
        );
    }
}
