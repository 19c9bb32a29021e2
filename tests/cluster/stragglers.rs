//! A worker that is alive but ten times slower than the others holds up nobody: an idle one makes a second
//! attempt, and the first result counts.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use whence_coordinator::Config;
use whence_proto::v1::JobState;
use whence_tests::cluster::{Cluster, impatient};
use whence_tests::fixtures::slow_job;
use whence_tests::history::{History, Undisturbed};
use whence_tests::processes::Process;

const ROWS: u64 = 40;
/// A slow worker runs for a tenth of the time.
const RUNS: Duration = Duration::from_millis(20);
const STANDS: Duration = Duration::from_millis(180);

/// Slows a process down until `stop`, and then lets it go on.
async fn slow_down(mut process: Process, stop: CancellationToken) -> Process {
    while !stop.is_cancelled() {
        process.send("STOP");
        tokio::time::sleep(STANDS).await;
        process.send("CONT");
        tokio::time::sleep(RUNS).await;
    }
    process
}

#[tokio::test(flavor = "multi_thread")]
async fn a_straggler_is_overtaken_and_costs_only_its_own_attempts() {
    let spec = slow_job(ROWS, 50, 20);
    let undisturbed = Undisturbed::run(&spec).await;
    let root = tempfile::tempdir().unwrap();
    let config = Config {
        backup_after: Duration::from_secs(1),
        ..impatient(&root.path().display().to_string())
    };
    let mut history = History::begin("a straggler");
    let mut cluster = Cluster::start(config).await.unwrap();
    let job = cluster.submit(&spec).await.unwrap();
    let address = format!("http://{}", cluster.address);
    let arguments = ["--coordinator", &address, "--batch-size", "1"];
    let slow = Process::start("whence-worker", &arguments);
    // It has loaded the model and begun its slots.
    let seen = cluster
        .watch(&job, |status| status.rows_in_flight > 0)
        .await;
    assert_eq!(seen.state(), JobState::Running, "too fast: {seen:?}");
    let log = slow.log().clone();
    let stop = CancellationToken::new();
    let slowed = tokio::task::JoinSet::from_iter([slow_down(slow, stop.clone())]);
    for _ in 0..2 {
        cluster.add_worker(whence_worker::Config::default());
    }
    let sealed = cluster.watch(&job, |_| false).await;
    let counts = (sealed.state(), sealed.rows_done, sealed.rows_failed);
    assert_eq!(counts, (JobState::Sealed, ROWS, 0), "{sealed:?}");
    let committed = log.count("outcome=Committed");
    stop.cancel();
    let slow = slowed.join_all().await.remove(0);
    assert!(slow.terminate().success());
    cluster.stop().await;
    // Otherwise the job waited for it.
    let overtaken = log.count("outcome=Superseded") + log.count("stopped before anything");
    assert!(
        overtaken > 0,
        "the straggler was waited for: {committed} slots"
    );
    history.note(format!("{overtaken} slots overtaken"));
    history.ends_as(&undisturbed, root.path());
}
