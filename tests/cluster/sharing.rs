//! Processes that share a job without a coordinator: whichever of them die, every row is there exactly
//! once, with the same bytes as from a cluster.

use std::path::Path;
use std::time::Duration;

use whence_coordinator::config::Scope;
use whence_coordinator::{Config, Coordinator};
use whence_schemas::{JobSpec, layout};
use whence_tests::fixtures::{job_in_small_shards, slow_job};
use whence_tests::history::{History, Undisturbed};
use whence_tests::processes::Process;
use whence_tests::table;

/// Longest time that a table may take to get another file.
const PATIENCE: Duration = Duration::from_mins(2);

/// Returns a job of 60 rows that is slow enough for processes to be killed in the middle.
fn job() -> JobSpec {
    slow_job(60, 30, 12)
}

/// Writes a job to the storage root `root`, as `submit --static` does.
async fn submitted(root: &Path, spec: &JobSpec) {
    let coordinator = Coordinator::start(Config {
        scope: Scope::Submitted,
        ..Config::new(root.display().to_string())
    });
    let coordinator = coordinator.await.unwrap();
    coordinator.jobs().submit(spec.clone()).await.unwrap();
}

/// Starts the process with this share of a job.
fn share(root: &Path, spec: &JobSpec, index: u32, of: u32) -> Process {
    let url = format!("{}/{}", root.display(), layout::job(&spec.id()));
    let (index, of) = (index.to_string(), of.to_string());
    let arguments = ["work", "--job", &url, "--index", &index, "--of", &of];
    Process::start("whence", &arguments)
}

/// Waits until the table has `count` files.
async fn has_files(root: &Path, spec: &JobSpec, count: usize) {
    let grown = async {
        while table::files(root, spec).len() < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let grown = tokio::time::timeout(PATIENCE, grown).await;
    assert!(grown.is_ok(), "the table does not get {count} files");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_are_left_do_the_work_of_those_that_are_killed() {
    let (root, spec) = (tempfile::tempdir().unwrap(), job());
    let undisturbed = Undisturbed::run(&spec).await;
    let mut history = History::begin("one of three shares survives");
    submitted(root.path(), &spec).await;
    let [first, second, third] = [0, 1, 2].map(|index| share(root.path(), &spec, index, 4));
    has_files(root.path(), &spec, 2).await;
    // The one whose turn it is to seal. The fourth was never started.
    first.kill_all();
    history.killed();
    has_files(root.path(), &spec, 4).await;
    let stopped = second.terminate();
    assert_eq!(stopped.code(), Some(143), "{stopped}");
    history.killed();
    assert!(!root.path().join(layout::sealed(&spec.id())).exists());
    let ended = third.wait();
    assert!(ended.success(), "{ended}");
    // One that comes late finds nothing to do.
    let late = share(root.path(), &spec, 1, 4).wait();
    assert!(late.success(), "{late}");
    history.ends_as(&undisturbed, root.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_killed_are_replaced_and_cost_no_row() {
    let (root, spec) = (tempfile::tempdir().unwrap(), job());
    let undisturbed = Undisturbed::run(&spec).await;
    let mut history = History::begin("workers of a share are killed");
    submitted(root.path(), &spec).await;
    let process = share(root.path(), &spec, 0, 1);
    for files in [1, 3] {
        has_files(root.path(), &spec, files).await;
        assert_eq!(process.kill_children(), 1);
        history.killed();
    }
    let ended = process.wait();
    assert!(ended.success(), "{ended}");
    history.ends_as(&undisturbed, root.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_takes_its_share_first() {
    let (root, spec) = (
        tempfile::tempdir().unwrap(),
        job_in_small_shards("train[:60]"),
    );
    submitted(root.path(), &spec).await;
    let process = share(root.path(), &spec, 1, 2);
    has_files(root.path(), &spec, 2).await;
    process.kill_all();
    let files = table::files(root.path(), &spec);
    let names = files
        .iter()
        .map(|path| path.file_name().unwrap().display().to_string());
    let slots: Vec<_> = names
        .filter_map(|name| layout::slot_of_key(&name))
        .collect();
    // Files appear in no certain order if several were written meanwhile.
    assert!(
        slots.iter().any(|slot| slot.shard_index() == 1),
        "{slots:?}"
    );
    assert!(
        slots.iter().all(|slot| slot.shard_index() != 0),
        "{slots:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_refused_at_once() {
    let root = tempfile::tempdir().unwrap();
    let spec = job();
    for (folder, index) in [
        (root.path().join("nowhere"), 0),
        (root.path().to_owned(), 0),
    ] {
        let ended = share(&folder, &spec, index, 1).wait();
        assert_eq!(ended.code(), Some(2), "{ended}");
    }
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    submitted(root.path(), &spec).await;
    let ended = share(root.path(), &spec, 3, 3).wait();
    assert_eq!(ended.code(), Some(2), "{ended}");
}
