//! Jobs that ask for workers of a class.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use whence_proto::v1::JobState;
use whence_schemas::{JobSpec, WorkerRequirements};
use whence_tests::cluster::{Cluster, impatient};
use whence_tests::fixtures::{job_in_small_shards, translation_job};
use whence_tests::history::{History, Undisturbed};
use whence_tests::table;

/// Enough for short rows alone.
const TIGHT: u64 = 140 << 20;
const LITTLE: u64 = 1 << 29;
const MUCH: u64 = 1 << 30;

fn worker(id: &str, memory: u64) -> whence_worker::Config {
    whence_worker::Config {
        id: Some(id.parse().unwrap()),
        memory: Some(memory),
        ..whence_worker::Config::default()
    }
}

fn job(workers: WorkerRequirements) -> JobSpec {
    JobSpec {
        workers,
        ..job_in_small_shards("train[:12]")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_computed_by_workers_of_its_class_alone_and_says_so_if_there_are_none() {
    let root = tempfile::tempdir().unwrap();
    let url = root.path().display().to_string();
    let mut cluster = Cluster::start(impatient(&url)).await.unwrap();
    cluster.add_worker(worker("little", LITTLE));
    let spec = job(WorkerRequirements {
        memory: Some(MUCH),
        numerics: Some(whence_engine::numerics_class()),
        device: Some("cpu".to_owned()),
    });
    let id = cluster.submit(&spec).await.unwrap();
    let waiting = cluster
        .watch(&id, |status| !status.waiting_for.is_empty())
        .await;
    assert_eq!(waiting.state(), JobState::Running);
    assert!(waiting.waiting_for.contains("memory"), "{waiting:?}");
    // Others are not held up by it.
    let other = cluster.run(&job(WorkerRequirements::default())).await;
    assert_eq!(other.state(), JobState::Sealed);

    cluster.add_worker(worker("much", MUCH));
    let sealed = cluster.watch(&id, |_| false).await;
    assert_eq!((sealed.state(), sealed.rows_failed), (JobState::Sealed, 0));
    assert_eq!(sealed.waiting_for, "");
    cluster.stop().await;
    let footers = table::footers(root.path(), &spec);
    let by: BTreeSet<_> = footers
        .iter()
        .map(|footer| footer.worker.as_str())
        .collect();
    assert_eq!(by, BTreeSet::from(["much"]));
}

/// Writes short rows, and two whose texts are as long as some dozens of them.
fn rows_of_two_sizes(folder: &Path) -> PathBuf {
    let (en, fr) = ("Click the button to open the window. ", "Cliquez ici. ");
    let row = |times: usize| {
        let translation = serde_json::json!({"en": en.repeat(times), "fr": fr.repeat(times)});
        serde_json::json!({ "translation": translation }).to_string()
    };
    let rows: Vec<_> = [1, 1, 30, 1, 1, 30, 1].into_iter().map(row).collect();
    let path = folder.join("rows.jsonl");
    std::fs::write(&path, rows.join("\n")).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_small_worker_has_no_memory_for_is_left_to_a_large_one() {
    let folder = tempfile::tempdir().unwrap();
    let spec = translation_job(&rows_of_two_sizes(folder.path()), "train", "saliency");
    let undisturbed = Undisturbed::run(&spec).await;
    let root = tempfile::tempdir().unwrap();
    let url = root.path().display().to_string();
    let mut cluster = Cluster::start(impatient(&url)).await.unwrap();
    cluster.add_worker(worker("small", TIGHT));
    cluster.add_worker(worker("large", MUCH));
    let sealed = cluster.run(&spec).await;
    assert_eq!((sealed.state(), sealed.rows_failed), (JobState::Sealed, 0));
    cluster.stop().await;
    History::begin("a small worker and a large one").ends_as(&undisturbed, root.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_worker_has_memory_for_becomes_error_rows() {
    let folder = tempfile::tempdir().unwrap();
    let spec = translation_job(&rows_of_two_sizes(folder.path()), "train", "saliency");
    let root = tempfile::tempdir().unwrap();
    let url = root.path().display().to_string();
    let mut cluster = Cluster::start(impatient(&url)).await.unwrap();
    cluster.add_worker(worker("small", TIGHT));
    let sealed = cluster.run(&spec).await;
    assert_eq!((sealed.state(), sealed.rows_failed), (JobState::Sealed, 2));
    cluster.stop().await;
}
