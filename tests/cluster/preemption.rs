//! A storm of preemptions: again and again, one of three workers gets SIGTERM and another one comes. Most
//! of what the machines compute ends up in the table.
//!
//! The storm follows the progress of the job, not the clock, so that it is the same on a busy machine. What
//! a storm by the clock costs is simulated in `coordinator/src/job/storms.rs`.

use std::collections::VecDeque;
use std::time::Duration;

use whence_proto::v1::{JobState, JobStatus};
use whence_schemas::JobSpec;
use whence_tests::fixtures::slow_job;
use whence_tests::history::{History, Undisturbed};
use whence_tests::machines::Machines;
use whence_tests::processes::Process;
use whence_tests::seeds::rounds;

const ROWS: u64 = 80;
const WORKERS: usize = 3;
/// Rows that are finished between two preemptions.
const PAUSE_ROWS: u64 = 8;
/// Least share of the processor time that must be useful. A worker lives for a few seconds here, and must
/// start and load the model in that time; machines live for hours.
const LEAST_USEFUL: f64 = 0.5;

fn worker(machines: &mut Machines) -> Process {
    machines.worker(&["--batch-size", "4"])
}

/// Tells a worker to end, which it must do by itself. Returns the processor time that it took.
async fn preempt(mut worker: Process) -> Duration {
    worker.send("TERM");
    let (ended, time) = worker.ended().await;
    assert!(ended.success(), "{ended}");
    time
}

/// Runs the job with one worker that nobody disturbs. Returns the result, and the processor time that it
/// takes.
async fn alone(spec: &JobSpec) -> (Undisturbed, Duration) {
    let root = tempfile::tempdir().unwrap();
    let mut machines = Machines::start(&root.path().display().to_string()).await;
    let job = machines.submit(spec).await;
    let worker = worker(&mut machines);
    machines.watch(&job, |_| false).await;
    let time = preempt(worker).await;
    (Undisturbed::read(root.path(), spec), time)
}

#[tokio::test(flavor = "multi_thread")]
async fn most_work_of_preempted_workers_is_useful() {
    let spec = slow_job(ROWS, 200, 20);
    let (undisturbed, necessary) = alone(&spec).await;
    for _ in 0..rounds() {
        let root = tempfile::tempdir().unwrap();
        let mut history = History::begin("a storm of preemptions");
        let mut machines = Machines::start(&root.path().display().to_string()).await;
        let job = machines.submit(&spec).await;
        let workers = (0..WORKERS).map(|_| worker(&mut machines));
        let mut workers: VecDeque<_> = workers.collect();
        let mut taken = Duration::ZERO;
        let mut next = PAUSE_ROWS;
        let sealed = loop {
            let has_progressed =
                |status: &JobStatus| status.rows_done + status.rows_in_flight >= next;
            let status = machines.watch(&job, has_progressed).await;
            if status.state() != JobState::Running {
                break status;
            }
            next = status.rows_done + status.rows_in_flight + PAUSE_ROWS;
            // The one that has lived longest, so that each lives for some pauses.
            let victim = workers.pop_front().expect("there are workers");
            taken += preempt(victim).await;
            history.killed();
            workers.push_back(worker(&mut machines));
        };
        let counts = (sealed.state(), sealed.rows_done, sealed.rows_failed);
        assert_eq!(counts, (JobState::Sealed, ROWS, 0), "{sealed:?}");
        for worker in workers {
            taken += preempt(worker).await;
        }
        let useful = necessary.as_secs_f64() / taken.as_secs_f64();
        history.note(format!("{:.0} % of the work useful", 100.0 * useful));
        history.saw(&machines);
        let figures = history.ends_as(&undisturbed, root.path());
        assert!(figures.kills >= WORKERS, "no storm: {figures}");
        assert!(useful >= LEAST_USEFUL, "{figures}");
    }
}
