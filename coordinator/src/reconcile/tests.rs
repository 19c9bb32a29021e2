//! Tests of the background work, with a real store in a temporary folder.

use std::time::Duration;

use bytes::Bytes;
use whence_schemas::store::read_footer;
use whence_schemas::{ErrorKind, JobSpec, SlotKind};

use super::*;
use crate::Config;
use crate::job::{FailureClass, Phase};
use crate::testing::{Stage, object, spec};

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
    // The error row is read, then the job is sealed.
    for _ in 0..2 {
        reconciler.write_due().await.unwrap();
    }
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
async fn a_damaged_slot_ends_its_job_until_somebody_deletes_it() {
    let stage = Stage::new().await;
    let jobs = stage.coordinator.jobs();
    let (id, _) = jobs.submit(stage.job(1)).await.unwrap();
    let table = jobs.summary(&id).unwrap().table;
    let key = layout::slot(&table, &SlotId::of_shard(0));
    let store = stage.coordinator.core.store.as_ref();
    store.create(&key, "not a table".into()).await.unwrap();
    stage.coordinator.reconciler().poll_store().await.unwrap();
    let Phase::Failed { message, is_final } = jobs.summary(&id).unwrap().phase else {
        panic!("the damage is not noticed");
    };
    assert!(!is_final);
    assert!(
        message.contains(&key) && message.contains("is damaged"),
        "{message}"
    );
    std::fs::remove_file(stage.root.path().join(&key)).unwrap();
    jobs.submit(stage.job(1)).await.unwrap();
    assert_eq!(jobs.summary(&id).unwrap().phase, Phase::Running);
    assert_eq!(stage.acquire("a", 1).await.len(), 1);
}

/// Fills the slots of a job of two rows with the given objects and lets the coordinator read them.
/// Returns the phase of the job.
async fn phase_with(objects: impl Fn(&JobSpec) -> [Bytes; 2]) -> Phase {
    let stage = Stage::new().await;
    let jobs = stage.coordinator.jobs();
    let spec = stage.job(2);
    let (id, _) = jobs.submit(spec.clone()).await.unwrap();
    let table = jobs.summary(&id).unwrap().table;
    let store = stage.coordinator.core.store.as_ref();
    for (index, bytes) in objects(&spec).into_iter().enumerate() {
        let key = layout::slot(&table, &SlotId::of_shard(index));
        store.create(&key, bytes).await.unwrap();
    }
    let reconciler = stage.coordinator.reconciler();
    reconciler.poll_store().await.unwrap();
    for _ in 0..2 {
        reconciler.write_due().await.unwrap();
    }
    jobs.summary(&id).unwrap().phase
}

#[tokio::test(start_paused = true)]
async fn a_job_is_sealed_only_with_whole_objects_of_its_own_slots() {
    let own = |spec: &JobSpec, index| {
        let slot = SlotId::of_shard(index);
        object(spec, &slot, SlotKind::Full, (1, 0))
    };
    let sealed = phase_with(|spec| [own(spec, 0), own(spec, 1)]).await;
    assert_eq!(sealed, Phase::Sealed);
    let flipped = |bytes: Bytes| {
        let mut bytes = bytes.to_vec();
        bytes[20] ^= 1;
        Bytes::from(bytes)
    };
    let doubled = |bytes: Bytes| Bytes::from([bytes.as_ref(), bytes.as_ref()].concat());
    let foreign = spec("another");
    let twice = |spec: &JobSpec| object(spec, &SlotId::of_shard(1), SlotKind::Full, (2, 0));
    for (reason, phase) in [
        (
            "digest",
            phase_with(|spec| [own(spec, 0), flipped(own(spec, 1))]).await,
        ),
        (
            "digest",
            phase_with(|spec| [own(spec, 0), doubled(own(spec, 1))]).await,
        ),
        (
            "slot `p000000`",
            phase_with(|spec| [own(spec, 0), own(spec, 0)]).await,
        ),
        (
            "another job",
            phase_with(|spec| [own(spec, 0), own(&foreign, 1)]).await,
        ),
        (
            "2 rows",
            phase_with(|spec| [own(spec, 0), twice(spec)]).await,
        ),
    ] {
        let Phase::Failed { message, .. } = phase else {
            panic!("{reason} is not noticed: {phase:?}");
        };
        assert!(message.contains(reason), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_filled_slot_whose_object_is_gone_is_computed_again() {
    let stage = Stage::new().await;
    stage.coordinator.jobs().submit(stage.job(1)).await.unwrap();
    let leased = stage.acquire("a", 1).await.remove(0);
    stage.fill(&leased).await;
    stage
        .coordinator
        .dispatch()
        .complete(&leased.at, 1)
        .await
        .unwrap();
    std::fs::remove_file(stage.root.path().join(&leased.slot_key)).unwrap();
    stage.coordinator.reconciler().write_due().await.unwrap();
    assert_eq!(stage.acquire("b", 1).await.len(), 1);
}

#[tokio::test]
async fn an_object_that_replaced_the_one_seen_counts_as_what_it_is() {
    let stage = Stage::new().await;
    let (id, _) = stage.coordinator.jobs().submit(stage.job(1)).await.unwrap();
    let leased = stage.acquire("a", 1).await.remove(0);
    stage.fill(&leased).await;
    let dispatch = stage.coordinator.dispatch();
    dispatch.complete(&leased.at, 1).await.unwrap();
    // Somebody deletes the file before it is read whole, and the slot is filled with an error row.
    let spec = stage.coordinator.jobs().spec(&id).unwrap();
    let other = object(&spec, &leased.at.slot, SlotKind::Quarantine, (1, 1));
    std::fs::write(stage.root.path().join(&leased.slot_key), other).unwrap();
    let totals = || stage.coordinator.jobs().summary(&id).unwrap().totals;
    stage.coordinator.reconciler().write_due_now().await;
    assert_eq!(totals().slots_done, 0);
    dispatch.complete(&leased.at, 1).await.unwrap();
    stage.coordinator.reconciler().write_due_now().await;
    stage.coordinator.reconciler().write_due_now().await;
    assert_eq!((totals().rows_done, totals().rows_failed), (1, 1));
    let summary = stage.coordinator.jobs().summary(&id).unwrap();
    assert_eq!(summary.phase, Phase::Sealed);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_store_is_told_until_it_answers_again() {
    let stage = Stage::new().await;
    stage.coordinator.jobs().submit(stage.job(1)).await.unwrap();
    let fault = || {
        let state = &stage.coordinator.core.state;
        state.read(|state| state.store_fault.clone())
    };
    let shutdown = CancellationToken::new();
    let away = stage.data.path().join("away");
    let pause = stage.coordinator.core.config.poll_interval * 2;
    let watching = async {
        tokio::time::sleep(pause).await;
        assert_eq!(fault(), None);
        // A link to itself cannot be read.
        std::fs::rename(stage.root.path(), &away).unwrap();
        std::os::unix::fs::symlink(stage.root.path(), stage.root.path()).unwrap();
        tokio::time::sleep(pause).await;
        assert!(fault().is_some());
        std::fs::remove_file(stage.root.path()).unwrap();
        std::fs::rename(&away, stage.root.path()).unwrap();
        tokio::time::sleep(pause).await;
        assert_eq!(fault(), None);
        shutdown.cancel();
    };
    let reconciler = stage.coordinator.reconciler();
    let (ended, ()) = tokio::join!(reconciler.run(shutdown.clone()), watching);
    ended.unwrap();
}

#[tokio::test]
async fn a_job_of_a_release_with_other_numbers_is_left_to_that_release() {
    let mut stage = Stage::new().await;
    let ours = stage.job(3);
    let (id, _) = stage.coordinator.jobs().submit(ours.clone()).await.unwrap();
    let theirs = JobSpec {
        numerics_version: ours.numerics_version + 1,
        ..ours
    };
    let store = stage.coordinator.core.store.as_ref();
    for of in [layout::plan, layout::submitted] {
        let bytes = store.get(&of(&id)).await.unwrap().unwrap();
        store.create(&of(&theirs.id()), bytes).await.unwrap();
    }
    let key = layout::spec(&theirs.id());
    create_json(store, &key, &theirs).await.unwrap();
    stage.restart().await;
    let phase = |id: &JobId| stage.coordinator.jobs().summary(id).unwrap().phase;
    let Phase::Failed { message, .. } = phase(&theirs.id()) else {
        panic!("it goes on");
    };
    assert!(message.contains("numerics version"), "{message}");
    assert_eq!(phase(&id), Phase::Running);
    // Nothing says so in the store.
    stage.coordinator.reconciler().write_due_now().await;
    let store = stage.coordinator.core.store.as_ref();
    assert!(
        store
            .head(&layout::failed(&theirs.id()))
            .await
            .unwrap()
            .is_none()
    );
}
