//! Tests of the background work, with a real store in a temporary folder.

use std::time::Duration;

use whence_schemas::store::read_footer;
use whence_schemas::{ErrorKind, SlotKind};

use super::*;
use crate::Config;
use crate::job::{FailureClass, Phase};
use crate::testing::Stage;

/// Leases up to `num_slots` slots and fails them, three times over, so that they are given up.
async fn give_up(stage: &Stage, num_slots: usize) {
    for _ in 0..3 {
        let leased = stage.acquire("a", num_slots).await;
        for slot in leased {
            stage.fail(&slot.at, FailureClass::Internal).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_no_attempt_survives_becomes_an_error_row_and_the_job_is_sealed() {
    let stage = Stage::new().await;
    let (id, _) = stage.coordinator.jobs().submit(stage.job(1)).await.unwrap();
    give_up(&stage, 1).await;
    let reconciler = stage.coordinator.reconciler();
    reconciler.write_due().await.unwrap();
    let summary = stage.coordinator.jobs().summary(&id).unwrap();
    let store = stage.coordinator.core.store.as_ref();
    let objects = store.list(&summary.table).await.unwrap();
    let footer = read_footer(store, &objects[0]).await.unwrap();
    assert_eq!(
        (footer.kind, footer.examples, footer.errors),
        (SlotKind::Quarantine, 1, 1)
    );
    assert_eq!(
        footer.spec_json,
        stage.coordinator.jobs().spec(&id).unwrap().canonical_json()
    );
    reconciler.write_due().await.unwrap();
    let summary = stage.coordinator.jobs().summary(&id).unwrap();
    assert_eq!(summary.phase, Phase::Sealed);
    assert_eq!(
        (summary.totals.rows_done, summary.totals.rows_failed),
        (1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_split_slot_holds_a_tombstone_and_its_halves_are_handed_out() {
    let stage = Stage::new().await;
    let mut spec = stage.job(4);
    spec.shard_tokens = 1_000_000;
    let (id, _) = stage.coordinator.jobs().submit(spec).await.unwrap();
    let leased = stage.acquire("a", 1).await.remove(0);
    assert_eq!(leased.rows, 4);
    stage.fail(&leased.at, FailureClass::TooLarge).await;
    stage.coordinator.reconciler().write_due().await.unwrap();
    let halves = stage.acquire("a", 9).await;
    let rows: Vec<_> = halves.iter().map(|half| half.rows).collect();
    assert_eq!(rows, [2, 2]);
    let summary = stage.coordinator.jobs().summary(&id).unwrap();
    let store = stage.coordinator.core.store.as_ref();
    let objects = store.list(&summary.table).await.unwrap();
    let footer = read_footer(store, &objects[0]).await.unwrap();
    assert_eq!((footer.kind, footer.examples), (SlotKind::Tombstone, 0));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_runs_out_is_written_down_and_leased_again() {
    let stage = Stage::new().await;
    let (id, _) = stage.coordinator.jobs().submit(stage.job(1)).await.unwrap();
    let lost = stage.acquire("a", 1).await.remove(0);
    tokio::time::advance(Config::default().lease_ttl).await;
    stage.coordinator.reconciler().expire().await;
    let store = stage.coordinator.core.store.as_ref();
    let record = layout::failure(&id, &lost.at.slot, &lost.at.attempt);
    assert!(store.head(&record).await.unwrap().is_some());
    assert_eq!(stage.acquire("b", 1).await[0].at.slot, lost.at.slot);
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_by_another_process_is_found() {
    let stage = Stage::new().await;
    let (id, _) = stage.coordinator.jobs().submit(stage.job(1)).await.unwrap();
    let store = stage.coordinator.core.store.as_ref();
    store
        .create(&layout::cancel(&id), "{}".into())
        .await
        .unwrap();
    stage.coordinator.reconciler().poll_store().await.unwrap();
    let summary = stage.coordinator.jobs().summary(&id).unwrap();
    assert_eq!(summary.phase, Phase::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_steps_down_for_a_newer_one() {
    let mut stage = Stage::new().await;
    let older = stage.coordinator.clone();
    stage.restart().await;
    let running = older.reconciler().run(CancellationToken::new());
    let ended = tokio::time::timeout(Duration::from_mins(1), running).await;
    let stepped_down = ended.expect("the store is polled").unwrap_err();
    assert_eq!(stepped_down.kind(), ErrorKind::Unavailable);
    assert!(
        stepped_down.to_string().contains("stepped down"),
        "{stepped_down}"
    );
    let refused = older.jobs().submit(stage.job(1)).await.unwrap_err();
    assert!(matches!(refused, Error::SteppedDown { .. }), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_slot_is_reported_and_the_other_jobs_go_on() {
    let stage = Stage::new().await;
    let jobs = stage.coordinator.jobs();
    let (id, _) = jobs.submit(stage.job(1)).await.unwrap();
    let table = jobs.summary(&id).unwrap().table;
    let key = layout::slot(&table, &whence_schemas::SlotId::of_shard(0));
    let store = stage.coordinator.core.store.as_ref();
    store.create(&key, "not a table".into()).await.unwrap();
    let error = stage
        .coordinator
        .reconciler()
        .poll_store()
        .await
        .unwrap_err();
    let message = chain(&error);
    assert!(
        message.contains(&key) && message.contains("is damaged"),
        "{message}"
    );
}
