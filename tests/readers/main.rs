//! The tables can be read with DuckDB, Polars and pandas.
//!
//! These are Python packages, which `.ci/run` installs into `.venv`. A test prints which of them it
//! found. If one is missing, the test says that it checked nothing.

use std::path::Path;
use std::process::Command;

use whence_proto::v1::JobState;
use whence_tests::cluster::Cluster;
use whence_tests::fixtures::job_in_small_shards;
use whence_tests::python;

/// Runs a Python program with the table's folder as its argument. Returns its output.
fn run(program: &str, folder: &Path) -> String {
    let output = Command::new(python::interpreter())
        .arg("-c")
        .arg(program)
        .arg(folder)
        .output()
        .expect("python runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Prints the numbers of rows, models and steps, and the sum of all scores. Scores of a step are
/// normalized to a sum of 1, so the last two numbers are equal.
const DUCKDB: &str = r#"
import sys, duckdb
table = f"read_parquet('{sys.argv[1]}/**/*.parquet', hive_partitioning = true)"
[(rows, models)] = duckdb.sql(f"SELECT count(*), count(DISTINCT model) FROM {table}").fetchall()
[(tokens, score)] = duckdb.sql(f"""
    SELECT count(*), sum(list_sum(step.source_scores))
    FROM (SELECT unnest(steps) AS step FROM {table})""").fetchall()
print(rows, models, tokens, round(score))
"#;

const POLARS: &str = r#"
import sys, polars as pl
table = pl.scan_parquet(sys.argv[1], hive_partitioning=True)
rows, models = table.select(pl.len(), pl.col("model").n_unique()).collect().row(0)
steps = table.select(pl.col("steps").explode()).unnest("steps").select(pl.len(), pl.col("source_scores").list.sum().sum())
tokens, score = steps.collect().row(0)
print(rows, models, tokens, round(score))
"#;

const PANDAS: &str = r#"
import sys, pandas
table = pandas.read_parquet(sys.argv[1])
steps = [step for steps in table.steps for step in steps]
print(len(table), table.model.nunique(), len(steps), round(sum(step["source_scores"].sum() for step in steps)))
"#;

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "a test that proved little says so")]
async fn the_tables_open_in_every_reader_there_is() {
    let root = tempfile::tempdir().unwrap();
    let spec = job_in_small_shards("test[:12]");
    let cluster = Cluster::with_worker(root.path().display()).await;
    assert_eq!(cluster.run(&spec).await.state(), JobState::Sealed);
    cluster.stop().await;
    let folder = root.path().join("tables/attributions");

    let rows = whence_tests::table::read(root.path(), &spec);
    let steps = rows.column_by_name("steps").unwrap();
    let tokens = arrow::array::AsArray::as_list::<i32>(steps).values().len();
    let expected = format!("12 1 {tokens} {tokens}");
    let readers = [("duckdb", DUCKDB), ("polars", POLARS), ("pandas", PANDAS)];
    let found: Vec<_> = readers
        .into_iter()
        .filter(|(package, _)| python::has(package))
        .collect();
    for (package, program) in &found {
        assert_eq!(run(program, &folder), expected, "{package}");
    }
    let names: Vec<_> = found.iter().map(|(package, _)| *package).collect();
    eprintln!("readers that opened the tables: {names:?}");
    assert!(
        !names.is_empty() || std::env::var_os("CI").is_none(),
        "`.ci/run` installs one"
    );
}
