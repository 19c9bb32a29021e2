//! The tables can be read with DuckDB, Polars and pandas.

use std::path::Path;
use std::process::Command;

use arrow::array::AsArray;
use tokio::runtime::Runtime;
use whence_proto::v1::JobState;
use whence_tests::cluster::Cluster;
use whence_tests::fixtures::job_in_small_shards;
use whence_tests::optional::{Need, OptionalTest};
use whence_tests::{python, table};

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

/// The tests of this file.
pub(crate) const TESTS: &[OptionalTest] = &[
    OptionalTest {
        name: "duckdb_opens_the_tables",
        need: Need::Package("duckdb"),
        run: || opens_the_tables(DUCKDB),
    },
    OptionalTest {
        name: "polars_opens_the_tables",
        need: Need::Package("polars"),
        run: || opens_the_tables(POLARS),
    },
    OptionalTest {
        name: "pandas_opens_the_tables",
        need: Need::Package("pandas"),
        run: || opens_the_tables(PANDAS),
    },
];

/// Checks that a Python program finds as many rows and steps in a job's table as we do.
fn opens_the_tables(program: &str) {
    let root = tempfile::tempdir().unwrap();
    let spec = job_in_small_shards("train[:12]");
    Runtime::new().unwrap().block_on(async {
        let cluster = Cluster::with_worker(root.path().display()).await;
        assert_eq!(cluster.run(&spec).await.state(), JobState::Sealed);
        cluster.stop().await;
    });
    let rows = table::read(root.path(), &spec);
    let steps = rows.column_by_name("steps").unwrap();
    let tokens = steps.as_list::<i32>().values().len();
    let folder = root.path().join("tables/attributions");
    assert_eq!(run(program, &folder), format!("12 1 {tokens} {tokens}"));
}
