//! `whence retry`: failed rows are computed again, and the others are as they were.

use std::path::Path;

use crate::run::{attribute_dataset, sql, whence};

/// Returns the scores of all rows but those that are `missing`, of the job in which so many failed.
fn scores(root: &Path, errors: &str, but: &str) -> String {
    let question = format!(
        "SELECT example_id, step, side, source_position, score FROM attributions JOIN jobs USING (job) \
         WHERE {errors} AND example_id NOT IN ({but}) ORDER BY 1, 2, 3, 4"
    );
    sql(root, &question, &["--format", "csv"]).succeeded()
}

/// Returns the first column of the answer to a query, without its name.
fn column(root: &Path, query: &str) -> Vec<String> {
    let answer = sql(root, query, &["--format", "csv"]).succeeded();
    answer.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn rows_that_failed_for_want_of_memory_are_computed_again_with_more() {
    let folder = tempfile::tempdir().unwrap();
    let (tight, ample) = (folder.path().join("tight"), folder.path().join("ample"));
    let split = "train[:12]";
    attribute_dataset(&tight, split, &["--memory", "131MiB", "--hide"]).succeeded();
    attribute_dataset(&ample, split, &["--hide"]).succeeded();
    let failed = column(
        &tight,
        "SELECT example_id FROM examples WHERE status = 'error'",
    );
    assert!((1..12).contains(&failed.len()), "{failed:?}");
    let first = column(&tight, "SELECT job FROM jobs").remove(0);
    let root = tight.display().to_string();
    let retry = |more: &[&str]| whence(&[&["retry", &first, "--root", &root], more].concat());

    let retried = retry(&[]);
    let second = retried.succeeded().trim_end().to_owned();
    assert_ne!(first, second);
    let again = retry(&[]);
    again.ended_with(0, &["already complete"]);
    assert_eq!(again.stdout.trim_end(), second);

    let jobs =
        "SELECT concat(job, ' ', rows, ' ', errors) FROM jobs ORDER BY submitted_at, errors DESC";
    let expected = [
        format!("{first} 12 {}", failed.len()),
        format!("{second} 12 0"),
    ];
    assert_eq!(column(&tight, jobs), expected);
    assert_eq!(
        scores(&tight, "errors = 0", "-1"),
        scores(&ample, "errors = 0", "-1")
    );
    assert_eq!(
        scores(&tight, "errors > 0", "-1"),
        scores(&ample, "errors = 0", &failed.join(","))
    );
    whence(&["verify", &second, "--root", &root]).ended_with(0, &[]);
    let of = format!("SELECT retry_of FROM runs WHERE job = '{second}'");
    assert_eq!(column(&tight, &of), [first]);
    whence(&["retry", &second, "--root", &root]).ended_with(2, &["none of its rows has failed"]);
}

#[test]
fn rows_that_fail_again_are_counted_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let tight = ["--memory", "131MiB", "--hide"];
    attribute_dataset(folder.path(), "train[:12]", &tight).succeeded();
    let first = column(folder.path(), "SELECT job FROM jobs").remove(0);
    let root = folder.path().display().to_string();
    let retried = whence(&["retry", &first, "--root", &root, "--memory", "131MiB"]);
    retried.ended_with(1, &["failed again", "--memory allows 131 MiB"]);
    whence(&["retry", "zzz", "--root", &root]).ended_with(2, &["there is no job `zzz`"]);
}
