//! What `whence views` prints, run in DuckDB itself, and the HTML pages in a browser. A machine may lack
//! both.
//!
//! Where one is absent, its tests are counted as ignored.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops where its fixture is not what it must be"
)]

#[path = "../cli/run.rs"]
#[allow(dead_code, reason = "other suites use the rest")]
mod run;

use std::process::{Command, ExitCode};

use run::{attribute_dataset, ended, sql, two_jobs, whence};
use whence_tests::optional::{Need, OptionalTest};
use whence_tests::python;

fn main() -> ExitCode {
    whence_tests::optional::run(&[
        OptionalTest {
            name: "duckdb_gives_the_same_answers",
            need: Need::Package("duckdb"),
            run: duckdb_gives_the_same_answers,
        },
        OptionalTest {
            name: "duckdb_finds_a_root_of_any_name",
            need: Need::Package("duckdb"),
            run: duckdb_finds_a_root_of_any_name,
        },
        OptionalTest {
            name: "pages_work_in_a_browser",
            need: Need::Program("chromium"),
            run: pages_work_in_a_browser,
        },
    ])
}

/// Runs the views in DuckDB itself.
fn duckdb_gives_the_same_answers() {
    let folder = two_jobs();
    let asked = r#"{"output_encoder_self_scores": true, "output_decoder_self_scores": true}"#;
    let third = [
        "-a",
        "value_zeroing",
        "--attribution_kwargs",
        asked,
        "--hide",
    ];
    attribute_dataset(folder.path(), "train[:3]", &third).succeeded();
    let root = folder.path().display().to_string();
    let views = whence(&["views", "duckdb", "--root", &root]).succeeded();
    let queries = [
        "SELECT method, side, count(*) AS n, round(sum(score), 3) AS total FROM attributions GROUP BY method, side ORDER BY method, side",
        "SELECT source_token, count(*) AS n FROM attributions WHERE side = 'target' GROUP BY source_token ORDER BY n DESC, source_token LIMIT 5",
        "SELECT job, count(*) AS n, count(contrast_token) AS contrasts FROM steps GROUP BY job ORDER BY job",
        "SELECT side, sum(source_start) AS starts, count(source_end) AS ends FROM attributions GROUP BY side ORDER BY side",
        "SELECT job, max(source_position) AS last, min(step) AS first FROM attributions GROUP BY job ORDER BY job",
        "SELECT name, side, target_position, count(source_token) AS n, round(sum(score), 3) AS total FROM sequence_scores GROUP BY name, side, target_position ORDER BY name, target_position",
        "SELECT name, count(DISTINCT target_token) AS looking, count(DISTINCT source_token) AS seen, max(source_position) AS last FROM sequence_scores GROUP BY name ORDER BY name",
    ];
    let script = "import csv, duckdb, sys
duckdb.sql(sys.argv[1])
for query in sys.argv[2:]:
    answer = duckdb.sql(query)
    print(','.join(answer.columns))
    for row in answer.fetchall():
        print(','.join(map(str, row)))";
    let asked = Command::new(python::interpreter())
        .args(["-c", script, &views])
        .args(queries)
        .output()
        .expect("Python runs");
    let theirs = ended(asked).succeeded();
    let ours = queries.map(|query| sql(folder.path(), query, &["--format", "csv"]).succeeded());
    assert_eq!(ours.concat(), theirs);
}

/// The path of a root may contain characters with a meaning in glob patterns.
fn duckdb_finds_a_root_of_any_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["out [v1]", "a*b?", "it's"] {
        let root = folder.path().join(name);
        attribute_dataset(&root, "train[:2]", &["--hide"]).succeeded();
        let root = root.display().to_string();
        let views = whence(&["views", "duckdb", "--root", &root]).succeeded();
        let script = "import duckdb, sys
duckdb.sql(sys.argv[1])
print(duckdb.sql('SELECT count(*) FROM examples').fetchall())";
        let asked = Command::new(python::interpreter())
            .args(["-c", script, &views])
            .output();
        assert_eq!(
            ended(asked.expect("Python runs")).succeeded(),
            "[(2,)]\n",
            "{name}"
        );
    }
}

/// Hovers, clicks, searches, sorts and measures in a headless Chromium.
fn pages_work_in_a_browser() {
    let script = run::fixture("browser/check.py");
    let checked = Command::new("python3")
        .args([&script, "--whence", env!("CARGO_BIN_EXE_whence")])
        .output()
        .expect("Python runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (told, failed) = (text(&checked.stdout), text(&checked.stderr));
    assert!(checked.status.success(), "{told}\n{failed}");
}
