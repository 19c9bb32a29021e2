//! Many workers at once: how soon each gets its answer.
//!
//! `WHENCE_TEST_ROUNDS` multiplies the slots.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use whence_schemas::store::memory;

use crate::job::Phase;
use crate::testing::{Stage, request};

const WORKERS: usize = 200;
/// Slots of one round.
const SLOTS: usize = 10_000;
/// How long a worker takes for a slot, at most.
const WORK_MS: usize = 1000;
/// What 99 of 100 requests must not take longer than. Tests are not optimized, and share two cores.
const SOON: Duration = Duration::from_millis(250);

/// Returns how many slots the workers fill.
fn num_slots() -> usize {
    let rounds = std::env::var("WHENCE_TEST_ROUNDS").ok();
    let rounds = rounds.map_or(1, |rounds| rounds.parse().expect("rounds are a number"));
    SLOTS * rounds
}

/// Asks for slots and fills them until there are none. Returns how long each answer took.
async fn work(stage: &Stage, number: usize) -> Vec<Duration> {
    let asked = request(&format!("worker-{number}"), 1);
    let mut waits = Vec::new();
    loop {
        let begun = Instant::now();
        let acquired = stage.coordinator.dispatch().acquire(&asked, Duration::ZERO);
        let assigned = acquired.await.unwrap().assigned;
        waits.push(begun.elapsed());
        let Some(assigned) = assigned.into_iter().next() else {
            return waits;
        };
        let lasts = (number * 7919 + waits.len() * 104_729) % WORK_MS;
        sleep(Duration::from_millis(lasts as u64)).await;
        stage.fill(&assigned).await;
        let completed = stage.coordinator.dispatch().complete(&assigned.at, 1).await;
        completed.unwrap();
    }
}

#[expect(
    clippy::print_stdout,
    reason = "figures belong into the output of the test"
)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_workers_at_once_are_answered_soon() {
    let slots = num_slots();
    let stage = std::sync::Arc::new(Stage::at(&memory("scale")).await);
    let submitted = stage.coordinator.jobs().submit(stage.job(slots)).await;
    let (id, _) = submitted.unwrap();
    let start = Instant::now();
    let mut workers = JoinSet::new();
    for number in 0..WORKERS {
        let stage = std::sync::Arc::clone(&stage);
        workers.spawn(async move { work(&stage, number).await });
    }
    let mut waits: Vec<Duration> = workers.join_all().await.into_iter().flatten().collect();
    let lasted = start.elapsed();
    waits.sort_unstable();
    let soon = waits[waits.len() * 99 / 100];
    let summary = stage.coordinator.jobs().summary(&id).unwrap();
    assert_eq!(summary.phase, Phase::Running);
    assert_eq!(summary.totals.rows_done, slots as u64);
    println!(
        "{slots} slots and {WORKERS} workers in {:.1} s: 99 of 100 requests answered within {} ms",
        lasted.as_secs_f64(),
        soon.as_millis()
    );
    assert!(soon < SOON, "{soon:?}");
}
