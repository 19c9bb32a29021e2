//! Tests of schedules with real stores and clocks that jump.

use std::sync::Arc;

use whence_schemas::store::memory;

use super::*;
use crate::Coordinator;
use crate::config::Config;
use crate::durable::schedules::Change;
use crate::schedule::{CatchUp, Overlap, Schedule, When};
use crate::testing::Stage;

const MINUTE: u64 = 60_000;

fn name() -> ScheduleName {
    "nightly".parse().unwrap()
}

/// A schedule that fires every minute.
fn every_minute(stage: &Stage, overlap: Overlap, catch_up: CatchUp) -> Schedule {
    Schedule {
        when: When::Every { seconds: 60 },
        overlap,
        catch_up,
        jitter_seconds: 0,
        jobs: vec![stage.job(1)],
    }
}

/// Makes a schedule. Returns a minute after the change, with nothing of it due before.
async fn set(stage: &Stage, schedule: Schedule) -> u64 {
    let store = stage.coordinator.core.store.as_ref();
    let change = Change::Set(Box::new(schedule));
    assert!(schedules::change(store, &name(), 0, change).await.unwrap());
    Clock::calendar_ms() / MINUTE * MINUTE
}

async fn pass(coordinator: &Coordinator, memory: &mut Memory, now_ms: u64) {
    let scheduling = Scheduling::new(&coordinator.core);
    scheduling.pass(memory, now_ms).await.unwrap();
}

/// Returns the outcomes of all times that are decided, and how often there are jobs.
async fn history(stage: &Stage) -> Vec<(Outcome, usize)> {
    let store = stage.coordinator.core.store.as_ref();
    let listed = schedules::list(store).await.unwrap();
    let mut history = Vec::new();
    for key in listed[&name()].fires.values() {
        let fire = schedules::fire(store, key).await.unwrap().unwrap();
        history.push((fire.outcome, fire.jobs.len()));
    }
    history
}

/// Fills all slots of all running jobs.
async fn work(stage: &Stage) {
    loop {
        let assigned = stage.acquire("a", 16).await;
        if assigned.is_empty() {
            break;
        }
        for assigned in &assigned {
            stage.fill(assigned).await;
            let dispatch = stage.coordinator.dispatch();
            dispatch.complete(&assigned.at, 1).await.unwrap();
        }
    }
    for _ in 0..3 {
        stage.coordinator.reconciler().write_due_now().await;
    }
}

#[tokio::test]
async fn a_hundred_times_fire_once_each_under_two_coordinators_and_jumping_clocks() {
    let stage = Stage::at(&memory("fires")).await;
    let config = Config {
        takes_over: true,
        ..Config::new(stage.coordinator.store_url())
    };
    let other = Coordinator::start(config).await.unwrap();
    let begin = set(
        &stage,
        every_minute(&stage, Overlap::Skip, CatchUp::UpTo(200)),
    )
    .await;
    let mut memories = [Memory::default(), Memory::default()];
    let coordinators: [&Arc<Coordinator>; 2] = [&stage.coordinator, &other];
    let mut now = begin;
    let end = begin + 100 * MINUTE + 1;
    let mut turn = 0_u64;
    while now < end {
        turn += 1;
        // Forward by up to seven minutes, and every third time back by four.
        now += (turn * 7919 % 7) * MINUTE + 1;
        let shown = match turn % 3 {
            0 => now.saturating_sub(4 * MINUTE),
            _ => now.min(end),
        };
        let [first, second] = &mut memories;
        match turn % 4 {
            0 => {
                tokio::join!(
                    pass(coordinators[0], first, shown),
                    pass(coordinators[1], second, shown)
                );
            }
            1 => pass(coordinators[1], second, shown).await,
            _ => pass(coordinators[0], first, shown).await,
        }
        work(&stage).await;
    }
    pass(&stage.coordinator, &mut Memory::default(), end).await;
    let history = history(&stage).await;
    let count = |of| history.iter().filter(|(is, _)| *is == of).count();
    let fired = count(Outcome::Fired);
    assert_eq!(history.len(), 100);
    assert!(fired >= 20, "{fired}");
    let store = stage.coordinator.core.store.as_ref();
    let objects = store.list(whence_schemas::layout::JOBS).await.unwrap();
    let specs = objects
        .iter()
        .filter(|object| object.key.ends_with("/spec.json"));
    assert_eq!(specs.count(), fired, "a job for each fire");
}

#[tokio::test]
async fn what_was_decided_before_a_crash_is_submitted_after_it() {
    let mut stage = Stage::new().await;
    let schedule = every_minute(&stage, Overlap::Skip, CatchUp::Last);
    let begin = set(&stage, schedule.clone()).await;
    let id = FireId {
        time_ms: begin + MINUTE,
        is_manual: false,
    };
    let jobs: Vec<_> = schedule
        .runs(&name(), id.time_ms)
        .iter()
        .map(JobSpec::id)
        .collect();
    let fire = Fire {
        outcome: Outcome::Fired,
        jobs: jobs.clone(),
        at_ms: begin + MINUTE,
        epoch: None,
    };
    let store = Arc::clone(&stage.coordinator.core.store);
    schedules::decide(store.as_ref(), &name(), id, fire)
        .await
        .unwrap();
    stage.restart().await;
    pass(&stage.coordinator, &mut Memory::default(), begin + MINUTE).await;
    let summary = stage.coordinator.jobs().summary(&jobs[0]).unwrap();
    assert_eq!(summary.phase, Phase::Running);
    assert_eq!(history(&stage).await, [(Outcome::Fired, 1)]);
}

#[tokio::test]
async fn the_jobs_of_the_fire_before_are_left_or_canceled_as_was_asked() {
    for (overlap, expected) in [
        (Overlap::Skip, vec![Outcome::Fired, Outcome::Skipped]),
        (Overlap::Replace, vec![Outcome::Fired, Outcome::Fired]),
        (Overlap::Queue, vec![Outcome::Fired]),
    ] {
        let stage = Stage::new().await;
        let begin = set(&stage, every_minute(&stage, overlap, CatchUp::Last)).await;
        let mut memory = Memory::default();
        for minute in 1..=2 {
            pass(&stage.coordinator, &mut memory, begin + minute * MINUTE).await;
        }
        let outcomes: Vec<_> = history(&stage)
            .await
            .into_iter()
            .map(|(is, _)| is)
            .collect();
        assert_eq!(outcomes, expected, "{overlap:?}");
        let cancelled = stage.coordinator.core.state.read(|state| {
            let jobs = state.jobs.values();
            jobs.filter(|job| *job.phase() == Phase::Cancelled).count()
        });
        assert_eq!(cancelled, usize::from(overlap == Overlap::Replace));
        work(&stage).await;
        pass(&stage.coordinator, &mut memory, begin + 2 * MINUTE).await;
        assert_eq!(history(&stage).await.len(), 2, "what waited comes");
    }
}

#[tokio::test]
async fn a_paused_schedule_fires_on_request_alone_and_then_goes_on() {
    let stage = Stage::new().await;
    let schedule = every_minute(&stage, Overlap::Skip, CatchUp::UpTo(9));
    let begin = set(&stage, schedule.clone()).await;
    let store = stage.coordinator.core.store.as_ref();
    assert!(
        schedules::change(store, &name(), 1, Change::Pause)
            .await
            .unwrap()
    );
    // Somebody else's change has that number.
    assert!(
        !schedules::change(store, &name(), 1, Change::Resume)
            .await
            .unwrap()
    );
    let mut memory = Memory::default();
    pass(&stage.coordinator, &mut memory, begin + 3 * MINUTE).await;
    assert!(history(&stage).await.is_empty());
    let id = FireId {
        time_ms: begin + 7,
        is_manual: true,
    };
    let fire = Fire {
        outcome: Outcome::Fired,
        jobs: schedule
            .runs(&name(), id.time_ms)
            .iter()
            .map(JobSpec::id)
            .collect(),
        at_ms: begin,
        epoch: None,
    };
    schedules::decide(store, &name(), id, fire).await.unwrap();
    pass(&stage.coordinator, &mut memory, begin + 3 * MINUTE).await;
    assert_eq!(
        stage.coordinator.core.state.read(|state| state.jobs.len()),
        1
    );
    work(&stage).await;
    assert!(
        schedules::change(store, &name(), 2, Change::Resume)
            .await
            .unwrap()
    );
    // Times while it was paused are over.
    let now = Clock::calendar_ms() / MINUTE * MINUTE + MINUTE;
    pass(&stage.coordinator, &mut memory, now).await;
    assert_eq!(history(&stage).await.len(), 2);
    assert!(
        schedules::change(store, &name(), 3, Change::Delete)
            .await
            .unwrap()
    );
    pass(&stage.coordinator, &mut memory, now + 5 * MINUTE).await;
    assert_eq!(history(&stage).await.len(), 2);
}

#[tokio::test]
async fn what_cannot_be_submitted_is_written_down_and_the_schedule_goes_on() {
    let stage = Stage::new().await;
    let mut broken = every_minute(&stage, Overlap::Skip, CatchUp::UpTo(9));
    std::fs::remove_dir_all(stage.data.path()).unwrap();
    broken.jobs.truncate(1);
    let begin = set(&stage, broken).await;
    let mut memory = Memory::default();
    for minute in 1..=2 {
        pass(&stage.coordinator, &mut memory, begin + minute * MINUTE).await;
    }
    assert_eq!(history(&stage).await.len(), 2);
    let store = stage.coordinator.core.store.as_ref();
    let listed = schedules::list(store).await.unwrap();
    for id in listed[&name()].fires.keys() {
        let error = schedules::error(store, &name(), *id)
            .await
            .unwrap()
            .unwrap();
        assert!(!error.message.is_empty());
    }
}

#[tokio::test]
async fn a_hundred_times_that_wait_for_each_other_fire_once_each() {
    let stage = Stage::at(&memory("queue")).await;
    let begin = set(
        &stage,
        every_minute(&stage, Overlap::Queue, CatchUp::UpTo(200)),
    );
    let now = begin.await + 100 * MINUTE;
    let mut seen = Memory::default();
    for _ in 0..100 {
        pass(&stage.coordinator, &mut seen, now).await;
        work(&stage).await;
    }
    assert_eq!(history(&stage).await, vec![(Outcome::Fired, 1); 100]);
}

#[tokio::test]
async fn a_clock_that_was_ahead_holds_up_nothing() {
    let stage = Stage::new().await;
    let begin = set(&stage, every_minute(&stage, Overlap::Skip, CatchUp::Last)).await;
    let mut seen = Memory::default();
    pass(&stage.coordinator, &mut seen, begin + 3000 * MINUTE).await;
    let ahead = history(&stage).await.len();
    // Ten are recorded as missed, and two were on time.
    assert!(ahead <= 12, "{ahead} times are used up");
    work(&stage).await;
    pass(&stage.coordinator, &mut Memory::default(), begin + MINUTE).await;
    assert_eq!(history(&stage).await.len(), ahead + 1);
}

#[tokio::test]
async fn a_damaged_schedule_stops_no_other_and_can_be_made_again() {
    let stage = Stage::new().await;
    let begin = set(&stage, every_minute(&stage, Overlap::Skip, CatchUp::Last)).await;
    let store = stage.coordinator.core.store.as_ref();
    let damaged: ScheduleName = "a".parse().unwrap();
    let key = whence_schemas::layout::schedule_change("a", 0);
    store.create(&key, "{garbage".into()).await.unwrap();
    assert!(schedules::current(store, &damaged, 1).await.is_err());
    let mut seen = Memory::default();
    pass(&stage.coordinator, &mut seen, begin + MINUTE).await;
    assert_eq!(history(&stage).await, [(Outcome::Fired, 1)]);
    let again = Change::Set(Box::new(every_minute(&stage, Overlap::Skip, CatchUp::Last)));
    assert!(schedules::change(store, &damaged, 1, again).await.unwrap());
    assert!(
        schedules::current(store, &damaged, 2)
            .await
            .unwrap()
            .is_some()
    );
}
