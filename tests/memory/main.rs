//! Memory is bounded by the configuration, not by the dataset: ten times the rows have about the
//! same peak.
//!
//! Groups and shards are small here, so that 500 rows already go through every phase of a job.

use std::path::Path;

use whence_tests::fixtures;
use whence_tests::processes::Process;

/// Factor by which the peak of ten times the rows may be higher. It is the maximum of ten times as
/// many moments, so it is a little higher by chance.
const WORSE_MOMENTS: f64 = 1.1;

/// Attributes the first `rows` rows of the larger dataset in a separate process. Returns its peak
/// memory in KiB.
async fn peak(rows: usize) -> u64 {
    let root = tempfile::tempdir().expect("a folder");
    let model = fixtures::marian();
    let dataset = fixtures::path("data/libreoffice-help-en-fr.train-5000.jsonl");
    let text = |path: &Path| path.display().to_string();
    let split = format!("train[:{rows}]");
    let (model, dataset, root) = (text(&model), text(&dataset), text(root.path()));
    let arguments = [
        ["attribute-dataset", "--quiet"],
        ["--model", &model],
        ["--dataset-name", &dataset],
        ["--dataset-split", &split],
        ["--input-text-field", "translation.en"],
        ["--generated-text-field", "translation.fr"],
        // The cheapest method will do: what is kept of a row does not depend on the method.
        ["--attribution-method", "attention"],
        ["--batch-size", "8"],
        ["--shard-tokens", "1024"],
        ["--root", &root],
    ];
    Process::peak_kib("whence", &arguments.concat()).await
}

/// Attributes a short text and one of `letters` letters within `memory`, with a model that has no
/// maximum length. Returns the peak memory of the process in KiB.
async fn peak_of_long_text(letters: usize, memory: &str) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = folder.path().join("rows.jsonl");
    let long = "a".repeat(letters);
    let text = format!("{{\"text\": \"short\"}}\n{{\"text\": \"{long}\"}}\n");
    std::fs::write(&rows, text).expect("the rows can be written");
    let text = |path: &Path| path.display().to_string();
    let (model, rows) = (text(&fixtures::path("models/t5-random")), text(&rows));
    let root = text(&folder.path().join("root"));
    let arguments = [
        ["attribute-dataset", "--quiet"],
        ["--model", &model],
        ["--dataset-name", &rows],
        ["--input-text-field", "text"],
        ["--generation-kwargs", r#"{"max_new_tokens": 1}"#],
        ["--memory", memory],
        ["--root", &root],
    ];
    let (ended, peak) = Process::measure("whence", &arguments.concat()).await;
    // The table is complete either way; the long text becomes an error row if it does not fit.
    assert!(matches!(ended.code(), Some(0 | 1)), "{ended}");
    peak
}

#[tokio::test]
async fn a_text_that_does_not_fit_is_never_tried() {
    const BOUND_KIB: u64 = 256 << 10;
    // Memory outside the bound: the program, the model, and what libraries keep for threads.
    const BESIDES_KIB: u64 = 128 << 10;
    for letters in [12_000, 60_000] {
        let peak = peak_of_long_text(letters, "256MiB").await;
        assert!(peak <= BOUND_KIB + BESIDES_KIB, "{letters}: {peak} KiB");
    }
    // 60,000 letters would need 57 GB, far more than any bound here.
    let peak = peak_of_long_text(60_000, "2GiB").await;
    assert!(peak <= BOUND_KIB + BESIDES_KIB, "{peak} KiB");
}

/// Attributes a text that fits within 350 MiB if a method keeps one pass over it. Returns whether it
/// was attributed, and the peak memory of the process in KiB.
async fn peak_of_method(method: &str, kwargs: &str) -> (bool, u64) {
    let model = fixtures::path("models/t5-random").display().to_string();
    let long = "a".repeat(2_500);
    let arguments = [
        ["--model", &model],
        ["--input-texts", &long],
        ["--generated-texts", "b"],
        ["--attribution-method", method],
        ["--attribution-kwargs", kwargs],
        ["--memory", "350MiB"],
    ];
    let arguments = [&["attribute", "--hide"][..], &arguments.concat()].concat();
    let (ended, peak) = Process::measure("whence", &arguments).await;
    (ended.success(), peak)
}

#[tokio::test]
async fn every_pass_that_a_method_keeps_counts() {
    const BOUND_KIB: u64 = 350 << 10;
    // The program, the model, and what libraries keep for threads.
    const BESIDES_KIB: u64 = 64 << 10;
    for (method, kwargs, fits) in [
        ("saliency", "{}", true),
        ("integrated_gradients", r#"{"n_steps": 2}"#, true),
        ("layer_gradient_x_activation", "{}", false),
        ("lime", r#"{"n_samples": 4}"#, false),
        (
            "reagent",
            r#"{"num_probes": 1, "max_probe_steps": 2}"#,
            false,
        ),
    ] {
        let (is_attributed, peak) = peak_of_method(method, kwargs).await;
        assert_eq!(is_attributed, fits, "{method}");
        assert!(peak <= BOUND_KIB + BESIDES_KIB, "{method}: {peak} KiB");
    }
}

#[tokio::test]
#[expect(
    clippy::print_stderr,
    reason = "the figures are what a reader of the log wants"
)]
async fn ten_times_the_rows_take_no_more_memory_than_their_worst_moment() {
    // The highest of several short runs, because the long one has as many moments.
    let few = peak(500).await.max(peak(500).await).max(peak(500).await);
    let many = peak(5000).await;
    eprintln!("peak memory: {few} KiB over 500 rows, {many} KiB over 5,000");
    assert!(
        many as f64 <= few as f64 * WORSE_MOMENTS,
        "{few} KiB, then {many} KiB"
    );
}
