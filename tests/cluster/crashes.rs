//! A process that aborts at each of the named points of the protocol costs at most work, never a row.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use whence_proto::v1::JobState;
use whence_schemas::JobSpec;
use whence_schemas::crash_point::{CrashPoint, VARIABLE};
use whence_tests::fixtures::{job_in_small_shards, short_job, slow_job};
use whence_tests::history::{History, Undisturbed};
use whence_tests::machines::{Machines, coordinator};
use whence_tests::processes::Process;

/// Longest time until a process reaches a point. Generous, because the machine may be busy.
const PATIENCE: Duration = Duration::from_mins(1);
/// The signal by which a process aborts.
const ABORTED: i32 = 6;
const ROWS: u64 = 16;
/// So few bytes that the result of a large shard is split.
const SMALL_OBJECTS: [&str; 2] = ["--max-result-bytes", "24000"];

/// What a cluster does when it reaches a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    /// A worker fills a slot.
    Working,
    /// A worker splits a slot, because the result is too large for one object.
    Splitting,
    /// A worker is told to end.
    Draining,
    /// A coordinator starts.
    Starting,
    /// A coordinator takes a job.
    Submitting,
    /// A coordinator serves a worker and seals the job.
    Serving,
    /// A coordinator fills a slot whose workers have died.
    Closing,
}

fn scene(point: CrashPoint) -> Scene {
    match point {
        CrashPoint::StoreStaged
        | CrashPoint::StoreLinked
        | CrashPoint::WorkerLeased
        | CrashPoint::WorkerBeforePut
        | CrashPoint::WorkerAfterPut
        | CrashPoint::WorkerBeforeReport => Scene::Working,
        CrashPoint::WorkerBeforeTombstone
        | CrashPoint::WorkerAfterTombstone
        | CrashPoint::WorkerBetweenHalves => Scene::Splitting,
        CrashPoint::WorkerDraining => Scene::Draining,
        CrashPoint::CoordinatorClaimed => Scene::Starting,
        CrashPoint::CoordinatorPlanned
        | CrashPoint::CoordinatorBeforeSpec
        | CrashPoint::CoordinatorAfterSpec => Scene::Submitting,
        CrashPoint::CoordinatorLeased
        | CrashPoint::CoordinatorReported
        | CrashPoint::CoordinatorBeforeSeal
        | CrashPoint::CoordinatorAfterSeal => Scene::Serving,
        CrashPoint::CoordinatorBeforeFill | CrashPoint::CoordinatorAfterFill => Scene::Closing,
    }
}

impl Scene {
    /// Returns the job that is disturbed.
    fn job(self) -> JobSpec {
        match self {
            Self::Working | Self::Starting | Self::Submitting | Self::Serving => {
                short_job(ROWS, 30)
            }
            // In one shard.
            Self::Closing => short_job(ROWS, 100_000),
            // Texts long enough for their results to be larger than an object may be here.
            Self::Splitting => JobSpec {
                shard_tokens: 100_000,
                ..job_in_small_shards(&format!("train[:{ROWS}]"))
            },
            // Slow enough to be told to end in the middle.
            Self::Draining => slow_job(ROWS, 100_000, 20),
        }
    }

    /// Returns the settings of every worker.
    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Splitting => &SMALL_OBJECTS,
            Self::Draining => &["--batch-size", "1"],
            _ => &[],
        }
    }
}

/// Returns how many attempts a crash at `point` may cost.
fn most_lost(point: CrashPoint) -> usize {
    let is_written = matches!(
        point,
        CrashPoint::StoreLinked | CrashPoint::WorkerAfterPut | CrashPoint::WorkerBeforeReport
    );
    match scene(point) {
        // A worker has two attempts. The result of one may be in the store already.
        Scene::Working => 2 - usize::from(is_written),
        // The job has one slot.
        Scene::Splitting | Scene::Draining => 1,
        // So has this one, which takes two workers along.
        Scene::Closing => 2,
        // Workers go on without a coordinator.
        Scene::Starting | Scene::Submitting | Scene::Serving => 0,
    }
}

/// Waits until a process has aborted.
async fn aborted(process: Process) {
    let ended = tokio::time::timeout(PATIENCE, process.ended()).await;
    let (ended, _) = ended.expect("it reaches the point");
    assert_eq!(ended.signal(), Some(ABORTED), "{ended}");
}

/// Lets a process crash at `point`. Returns the cluster, which works again, the id of its job, and the
/// worker that is still alive.
async fn crash(
    point: CrashPoint,
    root: &str,
    spec: &JobSpec,
    history: &mut History,
) -> (Machines, String, Option<Process>) {
    let scene = scene(point);
    let is_of_coordinator = !matches!(scene, Scene::Working | Scene::Splitting | Scene::Draining);
    if scene == Scene::Starting {
        let environment = [(VARIABLE, point.name())];
        aborted(coordinator(root, "127.0.0.1:0", &environment)).await;
    }
    let mut machines = match scene {
        Scene::Submitting | Scene::Serving | Scene::Closing => {
            Machines::start_crashing(root, point).await
        }
        _ => Machines::start(root).await,
    };
    if scene == Scene::Submitting {
        machines
            .try_submit(spec)
            .await
            .expect_err("there is no answer");
        aborted(machines.take_coordinator()).await;
        history.served_again_after(machines.restart_coordinator().await);
    }
    let job = machines.submit(spec).await;
    history.killed();
    if !is_of_coordinator {
        let mut doomed = machines.crashing_worker(point, scene.settings());
        if scene == Scene::Draining {
            machines
                .watch(&job, |status| status.rows_in_flight > 0)
                .await;
            doomed.send("TERM");
        }
        aborted(doomed).await;
    }
    if scene == Scene::Closing {
        // Two machines are enough for a slot to be split.
        for _ in 0..2 {
            aborted(machines.crashing_worker(CrashPoint::WorkerLeased, &[])).await;
            history.killed();
        }
    }
    let mut survivor = None;
    if matches!(scene, Scene::Serving | Scene::Closing) {
        // This worker goes on when there is a coordinator again.
        survivor = (scene == Scene::Serving).then(|| machines.worker(&[]));
        aborted(machines.take_coordinator()).await;
        history.served_again_after(machines.restart_coordinator().await);
    }
    (machines, job, survivor)
}

/// Crashes a cluster once at each point that belongs to one of `scenes`.
async fn survives(scenes: &[Scene]) {
    for &of_points in scenes {
        let spec = of_points.job();
        let undisturbed = Undisturbed::run(&spec).await;
        let points = CrashPoint::ALL.into_iter();
        for point in points.filter(|point| scene(*point) == of_points) {
            let root = tempfile::tempdir().unwrap();
            let url = root.path().display().to_string();
            let mut history = History::begin(point.name());
            let (mut machines, job, survivor) = crash(point, &url, &spec, &mut history).await;
            let _worker = survivor.unwrap_or_else(|| machines.worker(of_points.settings()));
            let sealed = machines.watch(&job, |_| false).await;
            let counts = (sealed.state(), sealed.rows_done, sealed.rows_failed);
            assert_eq!(counts, (JobState::Sealed, ROWS, 0), "{sealed:?}");
            history.saw(&machines);
            history.costs_at_most(most_lost(point));
            history.ends_as(&undisturbed, root.path());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_may_crash_wherever_it_fills_a_slot() {
    survives(&[Scene::Working]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_may_crash_wherever_it_splits_a_slot_or_ends() {
    survives(&[Scene::Splitting, Scene::Draining]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_may_crash_wherever_it_starts_or_takes_a_job() {
    survives(&[Scene::Starting, Scene::Submitting]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_may_crash_wherever_it_serves_or_closes() {
    survives(&[Scene::Serving, Scene::Closing]).await;
}

#[test]
fn each_point_is_listed_once() {
    let names = CrashPoint::ALL.map(CrashPoint::name);
    let distinct: std::collections::BTreeSet<_> = names.into_iter().collect();
    assert_eq!(distinct.len(), CrashPoint::ALL.len());
    // The last one, so that a point that is added at the end is noticed when it is not listed.
    let last = CrashPoint::ALL.len() - 1;
    assert_eq!(CrashPoint::CoordinatorAfterSeal as usize, last);
}
