//! A worker's session against a fake coordinator that answers as the test says.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use whence_proto::v1::FailureClass;
use whence_schemas::ErrorKind;

use super::fake_coordinator::{FakeCoordinator, Script};
use super::heartbeat::Heartbeat;
use super::link::Link;
use super::report::{self, Report};
use super::running::RunningTasks;
use super::{WHILE_DRAINING, run};
use crate::error::Error;
use crate::lease::{Lease, LeaseError};
use crate::testing::sent;
use crate::{Config, Coordinator, Places};

mod computing;

/// A fake coordinator that follows `script`, and the handle by which a worker reaches it.
struct Stage {
    fake: FakeCoordinator,
    coordinator: Coordinator,
    _serving: JoinSet<()>,
    root: tempfile::TempDir,
}

impl Stage {
    fn new(script: Script) -> Self {
        let root = tempfile::tempdir().unwrap();
        let fake = FakeCoordinator::default();
        *fake.script() = Script {
            store_url: root.path().display().to_string(),
            ..script
        };
        let mut serving = JoinSet::new();
        let coordinator = fake.serve(&mut serving);
        Self {
            fake,
            coordinator,
            _serving: serving,
            root,
        }
    }

    /// Runs a worker until the coordinator's requests satisfy `is_enough`, then shuts the worker
    /// down.
    async fn work_until(&self, is_enough: impl Fn(&Script) -> bool) -> Result<(), Error> {
        let shutdown = CancellationToken::new();
        let mut working = pin!(run(config(), self.coordinator.clone(), shutdown.clone()));
        tokio::select! {
            // A worker that ends by itself would never satisfy the condition.
            ended = &mut working => return ended,
            () = self.fake.until(is_enough) => shutdown.cancel(),
        }
        working.await
    }

    fn link(&self) -> Link {
        Link::new(
            self.coordinator.clone(),
            "w".parse().unwrap(),
            Places::open(&config().device, config().memory)
                .unwrap()
                .class(),
        )
    }
}

fn config() -> Config {
    Config {
        memory: Some(1 << 30),
        orphan_grace: Duration::from_mins(1),
        ..Config::default()
    }
}

fn failing(statuses: impl IntoIterator<Item = Status>) -> VecDeque<Status> {
    statuses.into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn a_malformed_lease_is_reported_and_the_worker_goes_on() {
    let mut lease = sent(0);
    lease.ttl = None;
    let stage = Stage::new(Script {
        leases: vec![lease],
        ..Script::default()
    });
    let reported = |script: &Script| !script.failed.is_empty() && script.acquired.len() > 1;
    stage.work_until(reported).await.unwrap();
    let script = stage.fake.script();
    assert_eq!(script.failed[0].attempt, sent(0).attempt);
    assert_eq!(script.failed[0].failure_class(), FailureClass::Internal);
    assert!(script.failed[0].message.contains("`ttl`"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_work_ends_before_the_coordinator_is_asked() {
    let stage = Stage::new(Script::default());
    let small = Config {
        memory: Some(1 << 20),
        ..config()
    };
    let working = run(small, stage.coordinator.clone(), CancellationToken::new());
    let refused = working.await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    let message = refused.to_string();
    assert!(message.starts_with("--memory allows 1 MiB"), "{message}");
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    let working = run(config(), stage.coordinator.clone(), shutdown);
    working.await.unwrap();
    assert!(stage.fake.script().acquired.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_this_machine_cannot_open_ends_the_worker() {
    let stage = Stage::new(Script::default());
    stage.fake.script().store_url = "ftp://host/x".to_owned();
    let working = stage.work_until(|script| !script.acquired.is_empty());
    let refused = working.await.unwrap_err();
    assert!(matches!(refused, Error::Store(_)), "{refused}");
    assert_eq!(refused.kind(), ErrorKind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn a_worker_asks_for_as_many_leases_as_it_has_free_places() {
    let stage = Stage::new(Script {
        leases: vec![sent(0)],
        ..Script::default()
    });
    let asked = stage.work_until(|script| script.acquired.len() == 2).await;
    asked.unwrap();
    let script = stage.fake.script();
    let credits = script.acquired.iter().map(|request| request.credits);
    assert_eq!(credits.collect::<Vec<_>>(), [2, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_shuts_down_is_asked_again_after_a_pause() {
    let stage = Stage::new(Script {
        num_draining: 3,
        ..Script::default()
    });
    let start = Instant::now();
    let asked = stage.work_until(|script| script.acquired.len() == 4).await;
    asked.unwrap();
    assert_eq!(start.elapsed(), 3 * WHILE_DRAINING);
    // It answers, so there is no need to register again.
    assert_eq!(stage.fake.script().registered.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_coordinator_is_told_what_runs_and_stops_what_it_does_not_need() {
    let stage = Stage::new(Script {
        leases: vec![sent(0), sent(1)],
        ..Script::default()
    });
    let shutdown = CancellationToken::new();
    let mut working = pin!(run(config(), stage.coordinator.clone(), shutdown.clone()));
    let attempt = |index| sent(index).attempt.unwrap();
    let restarted = async {
        let has_begun = |script: &Script| !script.heartbeats.is_empty();
        stage.fake.until(has_begun).await;
        stage.fake.script().acquire_failures = failing([Status::unavailable("restarting")]);
        stage.fake.script().stop = vec![attempt(0)];
        let has_ended = |script: &Script| script.registered.len() == 2;
        stage.fake.until(has_ended).await;
        shutdown.cancel();
    };
    tokio::select! {
        ended = &mut working => ended.unwrap(),
        () = restarted => working.await.unwrap(),
    }
    let script = stage.fake.script();
    assert_eq!(script.released[0].attempts, [attempt(0)]);
    let in_flight = &script.registered[1].in_flight;
    assert_eq!(in_flight, &[attempt(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_is_not_there_yet_is_waited_for() {
    let stage = Stage::new(Script {
        register_failures: failing([Status::unavailable("starting"), Status::unknown("reset")]),
        ..Script::default()
    });
    let asked = stage.work_until(|script| !script.acquired.is_empty()).await;
    asked.unwrap();
    assert_eq!(stage.fake.script().registered.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_refused_ends_at_once_with_the_reason() {
    let stage = Stage::new(Script {
        register_failures: failing([Status::failed_precondition("use the same release")]),
        ..Script::default()
    });
    let working = run(
        config(),
        stage.coordinator.clone(),
        CancellationToken::new(),
    );
    let refused = working.await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(
        refused.to_string().contains("use the same release"),
        "{refused}"
    );
    assert_eq!(stage.fake.script().registered.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_a_coordinator_gives_up_when_its_grace_is_over() {
    let silence = std::iter::repeat_with(|| Status::unavailable("nobody")).take(1000);
    let stage = Stage::new(Script {
        register_failures: failing(silence),
        ..Script::default()
    });
    let start = Instant::now();
    let working = run(
        config(),
        stage.coordinator.clone(),
        CancellationToken::new(),
    );
    let orphaned = working.await.unwrap_err();
    assert!(matches!(orphaned, Error::Orphaned { .. }), "{orphaned}");
    assert!(start.elapsed() >= config().orphan_grace);
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_the_worker_introduces_itself_anew() {
    let stage = Stage::new(Script {
        acquire_failures: failing([Status::unavailable("restarting")]),
        ..Script::default()
    });
    let asked = stage.work_until(|script| script.acquired.len() > 1).await;
    asked.unwrap();
    assert_eq!(stage.fake.script().registered.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_told_to_stop_gives_its_leases_back() {
    let stage = Stage::new(Script {
        leases: vec![sent(0)],
        ..Script::default()
    });
    let works = |script: &Script| {
        let mut beats = script.heartbeats.iter();
        beats.any(|beat| !beat.progress.is_empty())
    };
    stage.work_until(works).await.unwrap();
    let script = stage.fake.script();
    assert_eq!(script.released[0].attempts, [sent(0).attempt.unwrap()]);
    assert_eq!((script.completed.len(), script.failed.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_early_but_not_at_every_step() {
    let stage = Stage::new(Script::default());
    let (running, progressed) = (RunningTasks::default(), Arc::new(Notify::new()));
    let lease = Lease::try_from(&sent(0)).unwrap();
    let task = running.start(&lease);
    let heartbeat = Heartbeat {
        link: stage.link(),
        running: running.clone(),
        progressed: Arc::clone(&progressed),
        interval: Duration::from_secs(5),
    };
    let ended = CancellationToken::new();
    let progress = async {
        for _ in 0..100 {
            task.progress.rows.fetch_add(1, Ordering::Relaxed);
            progressed.notify_one();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stage
            .fake
            .until(|script| !script.heartbeats.is_empty())
            .await;
        ended.cancel();
    };
    tokio::join!(heartbeat.run(ended.clone()), progress);
    let script = stage.fake.script();
    // One second of progress gives one heartbeat per quarter of a second, not a hundred.
    assert!(
        (3..=5).contains(&script.heartbeats.len()),
        "{:?}",
        script.heartbeats.len()
    );
    let told = script
        .heartbeats
        .iter()
        .map(|beat| beat.progress[0].rows_done);
    assert!(told.is_sorted());
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_stops_the_tasks_nobody_needs() {
    let lease = Lease::try_from(&sent(0)).unwrap();
    let stage = Stage::new(Script {
        stop: vec![lease.attempt_ref()],
        // The first heartbeat is lost. The next one makes up for it.
        report_failures: failing([Status::unavailable("lost")]),
        ..Script::default()
    });
    let running = RunningTasks::default();
    let task = running.start(&lease);
    let heartbeat = Heartbeat {
        link: stage.link(),
        running,
        progressed: Arc::default(),
        interval: Duration::from_secs(5),
    };
    let ended = CancellationToken::new();
    let stopped = async {
        task.stop.cancelled().await;
        ended.cancel();
    };
    tokio::join!(heartbeat.run(ended.clone()), stopped);
    assert_eq!(stage.fake.script().heartbeats.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_report_is_repeated_until_somebody_hears_it_or_refuses_it() {
    let report = || {
        let error = LeaseError::Missing("ttl");
        Report::malformed(&"w".parse().unwrap(), sent(0).attempt, &error)
    };
    let stage = Stage::new(Script {
        report_failures: failing([Status::unavailable("a"), Status::unavailable("b")]),
        ..Script::default()
    });
    report::send(report(), &stage.link()).await;
    assert_eq!(stage.fake.script().failed.len(), 3);
    let refusing = Stage::new(Script {
        report_failures: failing([Status::invalid_argument("unknown attempt")]),
        ..Script::default()
    });
    report::send(report(), &refusing.link()).await;
    assert_eq!(refusing.fake.script().failed.len(), 1);
}
