//! Memory is bounded by configuration, not by the dataset: ten times the rows, the same peak.
//!
//! Groups and shards are small here and freed memory is given back at once, so that what a run keeps
//! is not lost in how its allocations happen to overlap. Keeping every row's scores would show.

use std::path::Path;

use whence_tests::fixtures;
use whence_tests::processes::Process;

/// Attributes the first `rows` of the larger dataset in a process of its own. Returns the most
/// memory it ever held, in KiB.
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
        // The cheapest method: what is kept of a row does not depend on how it was computed.
        ["--attribution-method", "attention"],
        ["--batch-size", "8"],
        ["--shard-tokens", "1024"],
        ["--root", &root],
    ];
    Process::peak_kib("whence", &arguments.concat()).await
}

#[tokio::test]
#[expect(
    clippy::print_stderr,
    reason = "the figures are what a reader of the log wants"
)]
async fn ten_times_the_rows_take_the_same_memory() {
    let (few, many) = (peak(500).await, peak(5000).await);
    eprintln!("peak memory: {few} KiB over 500 rows, {many} KiB over 5,000");
    assert!(
        many as f64 <= few as f64 * 1.1,
        "{few} KiB, then {many} KiB"
    );
}
