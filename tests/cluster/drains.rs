//! Workers that are told to end keep everything they have finished, up to the current group.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use whence_proto::v1::{JobState, JobStatus};
use whence_schemas::{JobSpec, slot_file};
use whence_tests::fixtures::slow_job;
use whence_tests::history::{History, Undisturbed};
use whence_tests::machines::Machines;
use whence_tests::processes::Process;
use whence_tests::table;

const ROWS: u64 = 30;
const GROUP: u64 = 2;

/// Starts a worker called `id` that attributes [`GROUP`] rows at a time.
fn worker(machines: &mut Machines, id: &str) -> Process {
    machines.worker(&["--batch-size", &GROUP.to_string(), "--id", id])
}

/// Returns how many rows each worker wrote to slots, by the worker's id.
fn rows_by_worker(root: &Path, spec: &JobSpec) -> BTreeMap<String, u64> {
    let mut rows = BTreeMap::new();
    for path in table::files(root, spec) {
        let file = std::fs::read(&path).unwrap();
        let footer = slot_file::decode(file.into()).unwrap().footer;
        *rows.entry(footer.worker.to_string()).or_default() += footer.examples;
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_terminated_commits_the_rows_it_has_finished() {
    // All rows are in one shard.
    let spec = slow_job(ROWS, 1_000_000, 20);
    let undisturbed = Undisturbed::run(&spec).await;
    let mut history = History::begin("a worker is told to end");
    let root = tempfile::tempdir().unwrap();
    let mut machines = Machines::start(&root.path().display().to_string()).await;
    let id = machines.submit(&spec).await;
    let first = worker(&mut machines, "first");
    let is_at_work = |status: &JobStatus| status.rows_in_flight >= ROWS / 3;
    let seen = machines.watch(&id, is_at_work).await;
    assert_eq!(seen.state(), JobState::Running, "too fast: {seen:?}");
    history.killed();
    // The computation ends within two seconds. The rest is for commits on a busy machine.
    let terminate = tokio::task::spawn_blocking(move || first.terminate());
    let ended = tokio::time::timeout(Duration::from_secs(10), terminate);
    let ended = ended.await.expect("it ends soon").unwrap();
    assert!(ended.success(), "{ended}");

    // Rows that were reported as finished are in slots now, and are not computed again.
    let kept = rows_by_worker(root.path(), &spec)["first"];
    assert!(kept >= seen.rows_in_flight, "{kept} rows kept of {seen:?}");
    let status = machines.watch(&id, |_| true).await;
    assert_eq!(status.rows_done, kept, "{status:?}");
    assert!(kept < ROWS, "too fast: {kept} rows were finished");
    let _second = worker(&mut machines, "second");
    let sealed = machines.watch(&id, |_| false).await;
    assert_eq!(
        (sealed.state(), sealed.rows_done, sealed.rows_failed),
        (JobState::Sealed, ROWS, 0)
    );
    let rows = rows_by_worker(root.path(), &spec);
    assert_eq!(rows["first"], kept);
    assert_eq!(rows["second"], ROWS - kept);
    history.saw(&machines);
    history.ends_as(&undisturbed, root.path());
}
