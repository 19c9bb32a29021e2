//! Tests of the answers to workers, with a real store in a temporary folder.

use std::time::Duration;

use tokio::time::Instant;
use whence_schemas::{JobId, SlotKind, layout};

use super::*;
use crate::Coordinator;
use crate::job::{Phase, Share};
use crate::testing::{Stage, at, object, registration, request};

#[tokio::test(start_paused = true)]
async fn a_worker_of_another_release_is_refused_by_what_differs() {
    let stage = Stage::new().await;
    let dispatch = stage.coordinator.dispatch();
    assert_eq!(dispatch.register(&registration("a")).unwrap(), []);
    let mut other = registration("a");
    other.protocol_version += 1;
    let refused = dispatch.register(&other).unwrap_err();
    assert!(
        refused.to_string().contains("protocol version"),
        "{refused}"
    );
    let mut other = registration("a");
    other.numerics_version += 1;
    let refused = dispatch.register(&other).unwrap_err();
    assert!(
        refused.to_string().contains("numerics version"),
        "{refused}"
    );
    assert_eq!(refused.kind(), ErrorKind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn a_worker_waits_for_a_job_and_no_longer_than_it_asked() {
    let stage = Stage::new().await;
    let start = Instant::now();
    let dispatch = stage.coordinator.dispatch();
    let wait = Duration::from_secs(20);
    let nothing = dispatch.acquire(&request("a", 1), wait).await.unwrap();
    assert!(nothing.assigned.is_empty() && !nothing.is_draining);
    assert_eq!(start.elapsed(), wait);
    let submitted = stage.coordinator.jobs();
    let asked = request("a", 1);
    let (acquired, _) = tokio::join!(
        dispatch.acquire(&asked, wait),
        submitted.submit(stage.job(2))
    );
    assert_eq!(acquired.unwrap().assigned.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_shuts_down_hands_nothing_out_and_says_so() {
    let stage = Stage::new().await;
    stage.coordinator.jobs().submit(stage.job(2)).await.unwrap();
    stage.coordinator.drain();
    let dispatch = stage.coordinator.dispatch();
    let asked = request("a", 1);
    let acquired = dispatch.acquire(&asked, Duration::from_secs(20));
    let acquired = acquired.await.unwrap();
    assert!(acquired.is_draining && acquired.assigned.is_empty());
    let refused = dispatch.register(&registration("a")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn what_another_process_has_filled_is_not_handed_out() {
    let stage = Stage::new().await;
    let (id, _) = stage.coordinator.jobs().submit(stage.job(6)).await.unwrap();
    let [ours, theirs] = [0, 1].map(|index| Share::new(index, 2).unwrap());
    let (ours, theirs) = (
        stage.beside(&id, ours).await,
        stage.beside(&id, theirs).await,
    );
    let asked = request("a", 2);
    let acquire = async |from: &Coordinator| {
        let acquired = from.dispatch().acquire(&asked, Duration::ZERO).await;
        acquired.unwrap().assigned
    };
    let shards = |slots: &[Assigned]| -> Vec<usize> {
        slots
            .iter()
            .map(|slot| slot.at.slot.shard_index())
            .collect()
    };
    let first = acquire(&theirs).await;
    assert_eq!(shards(&first), [1, 3]);
    for slot in &first {
        stage.fill(slot).await;
    }
    // Its own share, then the other one's from the end, but for what is done.
    assert_eq!(shards(&acquire(&ours).await), [0, 2]);
    assert_eq!(shards(&acquire(&ours).await), [4, 5]);
    assert_eq!(shards(&acquire(&ours).await), [0; 0]);
    let totals = ours.jobs().summary(&id).unwrap().totals;
    assert_eq!((totals.slots_done, totals.slots_leased), (2, 4));
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_filled_before_it_died_is_not_handed_out_again() {
    let stage = Stage::new().await;
    let (id, _) = stage.coordinator.jobs().submit(stage.job(2)).await.unwrap();
    let dead = stage.acquire("a", 1).await.remove(0);
    stage.fill(&dead).await;
    let core = &stage.coordinator.core;
    tokio::time::advance(core.config.lease_ttl).await;
    let (now, never) = (core.clock.now(), Duration::MAX);
    core.state.change(|state| state.expire(now, never));
    let other = stage.acquire("b", 1).await.remove(0);
    assert_ne!(other.at.slot, dead.at.slot);
    assert!(stage.acquire("c", 1).await.is_empty());
    let totals = stage.coordinator.jobs().summary(&id).unwrap().totals;
    assert_eq!((totals.slots_done, totals.slots_leased), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_rows_of_a_leased_slot_are_read_and_of_no_other() {
    let stage = Stage::new().await;
    stage.coordinator.jobs().submit(stage.job(3)).await.unwrap();
    let leased = stage.acquire("a", 1).await.remove(0);
    let dispatch = stage.coordinator.dispatch();
    let batch = dispatch.rows(&leased.at).unwrap().next_batch().unwrap();
    assert_eq!(batch.unwrap().num_rows() as u64, leased.rows);
    let mut unknown = leased.at.clone();
    unknown.slot = whence_schemas::SlotId::of_shard(99);
    assert_eq!(
        dispatch.rows(&unknown).err().unwrap().kind(),
        ErrorKind::NotFound
    );
    unknown.job = JobId::of("gone");
    assert_eq!(
        dispatch.rows(&unknown).err().unwrap().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test(start_paused = true)]
async fn a_report_counts_only_if_the_object_is_there() {
    let stage = Stage::new().await;
    let (id, _) = stage.coordinator.jobs().submit(stage.job(2)).await.unwrap();
    let leased = stage.acquire("a", 2).await;
    let dispatch = stage.coordinator.dispatch();
    dispatch.complete(&leased[0].at, 40).await.unwrap();
    let totals = || stage.coordinator.jobs().summary(&id).unwrap().totals;
    assert_eq!((totals().rows_done, totals().slots_leased), (0, 1));
    stage.fill(&leased[1]).await;
    // Reported twice, but counted once.
    dispatch.complete(&leased[1].at, 40).await.unwrap();
    dispatch.complete(&leased[1].at, 40).await.unwrap();
    assert_eq!((totals().rows_done, totals().tokens_done), (1, 40));
}

#[tokio::test(start_paused = true)]
async fn a_report_counts_what_is_below_a_slot_although_its_split_was_seen_before() {
    let stage = Stage::new().await;
    let mut spec = stage.job(4);
    spec.shard_tokens = 1_000_000;
    let (id, _) = stage.coordinator.jobs().submit(spec.clone()).await.unwrap();
    let leased = stage.acquire("a", 1).await.remove(0);
    let store = &stage.coordinator.core.store;
    let tombstone = object(&spec, &leased.at.slot, SlotKind::Tombstone, (0, 0));
    store.create(&leased.slot_key, tombstone).await.unwrap();
    // The store is polled while the attempt is between two writes.
    stage.coordinator.core.state.change(|state| {
        let slot = leased.at.slot.clone();
        state.apply(&id, Event::Split { slot, bytes: 1 }, at(0));
    });
    let [first, _] = leased.at.slot.split();
    let half = object(&spec, &first, SlotKind::Full, (2, 0));
    let key = layout::slot(&layout::table(&spec), &first);
    store.create(&key, half).await.unwrap();
    let dispatch = stage.coordinator.dispatch();
    dispatch.complete(&leased.at, 40).await.unwrap();
    let totals = stage.coordinator.jobs().summary(&id).unwrap().totals;
    assert_eq!((totals.rows_done, totals.tokens_done), (2, 40));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_object_is_named_with_what_is_wrong() {
    let stage = Stage::new().await;
    stage.coordinator.jobs().submit(stage.job(2)).await.unwrap();
    let leased = stage.acquire("a", 1).await.remove(0);
    let store = &stage.coordinator.core.store;
    let damaged = b"PAR1 and nothing else".as_slice();
    store
        .create(&leased.slot_key, damaged.into())
        .await
        .unwrap();
    let error = stage.coordinator.dispatch().complete(&leased.at, 1).await;
    let error = error.unwrap_err();
    let message = chain(&error);
    assert!(message.contains(&leased.slot_key), "{message}");
    assert!(message.contains("is damaged"), "{message}");
    assert_eq!(error.kind(), ErrorKind::Data);
}

#[tokio::test(start_paused = true)]
async fn failures_survive_a_restart_and_outages_are_not_written_down() {
    let mut stage = Stage::new().await;
    let (id, _) = stage.coordinator.jobs().submit(stage.job(2)).await.unwrap();
    for class in [FailureClass::Transient, FailureClass::Internal] {
        let leased = stage.acquire("a", 1).await.remove(0);
        stage.fail(&leased.at, class).await;
    }
    let recorded = stage
        .coordinator
        .core
        .store
        .list(&layout::failures(&id))
        .await;
    assert_eq!(recorded.unwrap().len(), 1);
    stage.restart().await;
    let summary = stage.coordinator.jobs().summary(&id).unwrap();
    assert_eq!(summary.phase, Phase::Running);
}

#[tokio::test(start_paused = true)]
async fn a_failure_counts_only_if_its_worker_holds_the_lease() {
    let stage = Stage::new().await;
    let (id, _) = stage.coordinator.jobs().submit(stage.job(2)).await.unwrap();
    let leased = stage.acquire("b", 1).await.remove(0);
    let never = AttemptAt {
        attempt: new_attempt(),
        ..leased.at.clone()
    };
    let foreign = AttemptAt {
        job: JobId::of("another"),
        ..leased.at.clone()
    };
    // The worker `a` reports them, and `b` holds the lease.
    for at in [&leased.at, &never, &foreign] {
        for class in [FailureClass::Specification, FailureClass::Internal] {
            stage.fail(at, class).await;
        }
    }
    let store = &stage.coordinator.core.store;
    for job in [&id, &foreign.job] {
        let recorded = store.list(&layout::failures(job)).await;
        assert_eq!(recorded.unwrap(), []);
    }
    let summary = stage.coordinator.jobs().summary(&id).unwrap();
    assert_eq!(summary.phase, Phase::Running);
    assert_eq!(summary.totals.slots_leased, 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_given_back_is_handed_to_the_next() {
    let stage = Stage::new().await;
    stage.coordinator.jobs().submit(stage.job(1)).await.unwrap();
    let first = stage.acquire("a", 1).await.remove(0);
    assert!(stage.acquire("b", 1).await.is_empty());
    stage
        .coordinator
        .dispatch()
        .release(std::slice::from_ref(&first.at));
    let second = stage.acquire("b", 1).await.remove(0);
    assert_eq!(second.at.slot, first.at.slot);
    assert_ne!(second.at.attempt, first.at.attempt);
}

#[tokio::test(start_paused = true)]
async fn a_paused_job_is_not_handed_out_until_it_is_resumed_or_submitted_again() {
    let stage = Stage::new().await;
    let jobs = stage.coordinator.jobs();
    let (id, _) = jobs.submit(stage.job(3)).await.unwrap();
    let first = stage.acquire("a", 1).await.remove(0);
    assert!(jobs.pause(&id, true).await.unwrap().is_paused);
    assert!(stage.acquire("b", 1).await.is_empty());
    // What is being computed is finished.
    let progress = [AttemptProgress::none(&first.at)];
    let unwanted = stage.coordinator.dispatch();
    let unwanted = unwanted.heartbeat(&crate::testing::worker("a"), &progress);
    assert_eq!(unwanted.unwrap(), []);
    stage.fill(&first).await;
    stage
        .coordinator
        .dispatch()
        .complete(&first.at, 1)
        .await
        .unwrap();
    assert_eq!(jobs.summary(&id).unwrap().totals.slots_done, 1);
    assert!(!jobs.pause(&id, false).await.unwrap().is_paused);
    assert_eq!(stage.acquire("b", 1).await.len(), 1);
    jobs.pause(&id, true).await.unwrap();
    jobs.submit(stage.job(3)).await.unwrap();
    assert_eq!(stage.acquire("c", 1).await.len(), 1);
    jobs.cancel(&id).await.unwrap();
    let refused = jobs.pause(&id, true).await.unwrap_err().to_string();
    assert!(refused.contains("was cancelled"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_writes_elsewhere_ends_the_job_with_the_reason() {
    let stage = Stage::new().await;
    let (id, _) = stage.coordinator.jobs().submit(stage.job(1)).await.unwrap();
    for _ in 0..3 {
        let leased = stage.acquire("a", 1).await.remove(0);
        let reported = stage.coordinator.dispatch().complete(&leased.at, 1);
        reported.await.unwrap();
    }
    let Phase::Failed { message, .. } = stage.coordinator.jobs().summary(&id).unwrap().phase else {
        panic!("the job goes on");
    };
    assert!(message.contains("not in the storage root"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn failures_that_cannot_be_written_down_count_all_the_same() {
    let stage = Stage::new().await;
    let (id, _) = stage.coordinator.jobs().submit(stage.job(1)).await.unwrap();
    let leased = stage.acquire("a", 1).await.remove(0);
    // Files where folders and objects would be: nothing can be created there.
    let root = stage.root.path();
    std::fs::write(root.join(layout::failures(&id)), "").unwrap();
    stage.fail(&leased.at, FailureClass::Specification).await;
    let folder = root.join(layout::job(&id));
    std::fs::rename(&folder, root.join("away")).unwrap();
    std::fs::write(&folder, "").unwrap();
    stage.coordinator.reconciler().write_due_now().await;
    let is_failed = |stage: &Stage| {
        let phase = stage.coordinator.jobs().summary(&id).unwrap().phase;
        matches!(phase, Phase::Failed { .. })
    };
    assert!(is_failed(&stage));
    let due = stage.coordinator.core.state.read(|state| state.due(at(0)));
    assert!(due.is_empty(), "{due:?}");
}
