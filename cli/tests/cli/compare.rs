//! `whence compare`.

use std::fs;
use std::path::Path;

use crate::run::{Ran, attribute_dataset, whence};

/// Returns a root with two runs over the first `rows` rows, by saliency and by attention.
fn two_runs(rows: [&str; 2]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = rows;
    let scores = ["--hide", "--step_scores", "probability"];
    attribute_dataset(folder.path(), first, &scores).succeeded();
    let attention = [&scores[..], &["-a", "attention"]].concat();
    attribute_dataset(folder.path(), second, &attention).succeeded();
    folder
}

fn compare(root: &Path, runs: [&str; 2], more: &[&str]) -> Ran {
    let root = root.display().to_string();
    whence(&[&["compare", runs[0], runs[1], "--root", &root][..], more].concat())
}

#[test]
fn two_runs_are_compared_example_by_example() {
    let folder = two_runs(["train[:4]", "train[:6]"]);
    let runs = ["saliency", "attention"];
    let compared = compare(folder.path(), runs, &[]);
    assert!(
        compared.stderr.contains("only one of the runs has 2 rows"),
        "{}",
        compared.stderr
    );
    let told = compared.succeeded();
    assert!(told.contains("\n4 examples compared\n"), "{told}");
    assert!(told.contains("A − B: Source Saliency Heatmap"), "{told}");
    let beside = compare(
        folder.path(),
        runs,
        &["--mode", "side-by-side", "--example", "2"],
    );
    let told = beside.succeeded();
    assert!(
        told.contains("\n1 example compared\n") && told.contains("\nexample 2\n"),
        "{told}"
    );
    for title in ["A: Source Saliency Heatmap", "B: Source Saliency Heatmap"] {
        assert!(told.contains(title), "{told}");
    }
    let page = folder.path().join("page.html");
    let path = page.display().to_string();
    let told = compare(folder.path(), runs, &["--viz-path", &path]).succeeded();
    assert!(!told.contains("Heatmap"), "they are on the page");
    let page = fs::read_to_string(page).unwrap();
    assert_eq!(page.matches("class=\"example\"").count(), 4);
    assert!(page.contains("[\"rank correlation\",") && page.contains("[\"top-3 overlap\","));
}

#[test]
fn a_run_agrees_with_itself() {
    let folder = two_runs(["train[:2]", "train[:2]"]);
    let told = compare(folder.path(), ["saliency", "saliency"], &[]).succeeded();
    assert!(told.contains("mean rank correlation: 1.000\n"), "{told}");
    assert!(told.contains("mean top-3 overlap: 1.000\n"), "{told}");
    assert!(told.contains("largest difference: 0.0000 in "), "{told}");
}

/// Inseq's files are read as tables are.
#[test]
fn a_saved_file_agrees_with_its_table() {
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("saved.json").display().to_string();
    let root = folder.path().join("root");
    attribute_dataset(&root, "train[:2]", &["--hide", "-o", &saved]).succeeded();
    let told = compare(&root, [&saved, "saliency"], &[]).succeeded();
    assert!(told.contains("\n2 examples compared\n"), "{told}");
    assert!(told.contains("largest difference: 0.0000 in "), "{told}");
    let missing = compare(&root, ["no/such.json", "saliency"], &[]);
    missing.is_refused_with(&["no/such.json"]);
}

#[test]
fn what_cannot_be_compared_is_named() {
    let folder = two_runs(["train[:2]", "train[2:4]"]);
    let runs = ["saliency", "attention"];
    // Rows are counted within the split that a job reads.
    let refused = compare(folder.path(), runs, &[]);
    refused.is_refused_with(&["example 0: source token 0 is `▁When` in A and `▁Choose` in B"]);
    let none = compare(folder.path(), runs, &["--example", "7"]);
    none.is_refused_with(&["no attributed example 7 is in both"]);
    let missing = compare(folder.path(), ["saliency", "lime"], &[]);
    missing.is_refused_with(&["there is no job `lime`", "SELECT job, method FROM jobs"]);
    // The same row with another target has other tokens.
    let other = ["--hide", "-gen", "translation.en", "--run_id", "copy"];
    let root = folder.path().display().to_string();
    let (model, data) = (crate::run::marian(), crate::run::translations());
    let dataset = [
        "attribute-dataset",
        "-m",
        &model,
        "-d",
        &data,
        "--root",
        &root,
    ];
    let rows = ["--split", "train[:2]", "-in", "translation.en"];
    whence(&[&dataset[..], &rows, &other].concat()).succeeded();
    let several = compare(folder.path(), ["saliency", "copy"], &[]);
    several.is_refused_with(&["several jobs are called `saliency`"]);
    let first = compare(folder.path(), ["attention", "copy"], &[]);
    first.is_refused_with(&["example 0: source token 0 is `▁Choose` in A and `▁When` in B"]);
    let query = "SELECT j.job FROM jobs j JOIN examples e ON j.job = e.job \
                 WHERE j.method = 'saliency' AND e.generated_text LIKE 'Attention%'";
    let asked = ["sql", "--root", &root, "--format", "csv", query];
    let ids = whence(&asked).succeeded();
    let id = ids.lines().nth(1).expect("the first job");
    let other = compare(folder.path(), [id, "copy"], &[]);
    other.is_refused_with(&["example 0: target token ", " in A and "]);
}
