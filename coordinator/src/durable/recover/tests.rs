//! What is rebuilt from the objects below a storage root, whole or damaged.

use serde_json::json;
use tempfile::TempDir;
use whence_schemas::plan::{Cursor, PlannedShard};
use whence_schemas::store::LocalSlotStore;
use whence_schemas::{SlotKind, canonical};

use super::*;
use crate::durable::create_json;
use crate::job::tests::{RULES, failure};
use crate::job::{Due, FailureClass, Phase};
use crate::testing::{at, object, slot, spec, store, verify_all};

/// A root that holds a submitted job of two slots, with three rows and one row.
struct Root {
    store: LocalSlotStore,
    _folder: TempDir,
    spec: JobSpec,
}

impl Root {
    async fn new() -> Self {
        let (store, folder) = store();
        let root = Self {
            store,
            _folder: folder,
            spec: spec("m"),
        };
        root.submit(&root.spec).await;
        root
    }

    /// Writes the objects of a submitted job.
    async fn submit(&self, spec: &JobSpec) {
        let shard = |rows| PlannedShard {
            rows,
            cursor: Cursor { file: 0, offset: 0 },
            estimated_tokens: 10,
            digest: String::new(),
        };
        let plan = Plan {
            files: Vec::new(),
            shards: vec![shard(0..3), shard(3..4)],
        };
        let id = spec.id();
        self.create(&layout::plan(&id), &plan).await;
        self.create(
            &layout::submitted(&id),
            &Submitted {
                at_ms: 5,
                tenant: None,
            },
        )
        .await;
        self.create(&layout::spec(&id), spec).await;
    }

    async fn create<T: Serialize + Sync>(&self, key: &str, value: &T) {
        create_json(&self.store, key, value).await.unwrap();
    }

    async fn put(&self, slot: &SlotId, kind: SlotKind, rows: u64) {
        let bytes = object(&self.spec, slot, kind, (rows, 0));
        let key = layout::slot(&layout::table(&self.spec), slot);
        self.store.create(&key, bytes).await.unwrap();
    }

    async fn record(&self, failure: &Failure) {
        let key = layout::failure(&self.spec.id(), &failure.slot, &failure.attempt);
        self.create(&key, failure).await;
    }

    async fn jobs(&self) -> Result<Vec<Job>, Error> {
        jobs_of(&self.store).await
    }

    async fn job(&self) -> Job {
        let mut jobs = self.jobs().await.unwrap();
        assert_eq!(jobs.len(), 1);
        jobs.remove(0)
    }
}

/// Rebuilds every job of a store.
async fn jobs_of(store: &dyn SlotStore) -> Result<Vec<Job>, Error> {
    let (mut objects, ended) = list(store).await?;
    objects.extend(ended);
    jobs(store, objects, RULES, at(0)).await
}

#[tokio::test]
async fn a_paused_job_is_still_paused_after_a_restart() {
    let root = Root::new().await;
    for is_paused in [true, false, true] {
        pauses::set(&root.store, &root.spec.id(), is_paused)
            .await
            .unwrap();
        assert_eq!(root.job().await.is_paused(), is_paused);
    }
}

#[tokio::test]
async fn a_job_is_rebuilt_from_its_objects() {
    let root = Root::new().await;
    let [first, second] = slot(0).split();
    root.put(&slot(0), SlotKind::Tombstone, 0).await;
    root.put(&first, SlotKind::Full, 1).await;
    let job = root.job().await;
    assert_eq!((job.id(), job.phase()), (&root.spec.id(), &Phase::Running));
    assert_eq!(job.order(), (5, &root.spec.id()));
    let state = |slot: &SlotId| match job.slot(slot) {
        Some(SlotState::Filled(_)) => "filled",
        Some(SlotState::Split { .. }) => "split",
        Some(SlotState::Pending { .. }) => "pending",
        _ => "other",
    };
    let states: Vec<_> = job.slots().map(|(id, _)| (id, state(id))).collect();
    let expected = [
        (&slot(0), "split"),
        (&first, "filled"),
        (&second, "pending"),
        (&slot(1), "pending"),
    ];
    assert_eq!(states, expected);
    let totals = job.totals();
    assert_eq!((totals.rows, totals.rows_done, totals.slots), (4, 1, 3));
}

#[tokio::test]
async fn a_submission_that_was_never_completed_is_no_job() {
    let (store, _folder) = store();
    let id = spec("m").id();
    let plan = Plan {
        files: Vec::new(),
        shards: Vec::new(),
    };
    create_json(&store, &layout::plan(&id), &plan)
        .await
        .unwrap();
    assert!(jobs_of(&store).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_sealed_job_needs_nothing_but_its_manifest() {
    let root = Root::new().await;
    root.put(&slot(0), SlotKind::Full, 3).await;
    root.put(&slot(1), SlotKind::Full, 1).await;
    let mut running = root.job().await;
    verify_all(&mut running, at(1));
    assert_eq!(running.due(at(0)), [Due::Seal]);
    let manifest = Manifest::of(&running);
    let (sealed, _folder) = store();
    for (key, json) in [
        (layout::spec(&root.spec.id()), root.spec.canonical_json()),
        (
            layout::sealed(&root.spec.id()),
            canonical::to_string(&manifest).unwrap(),
        ),
    ] {
        sealed.create(&key, json.into()).await.unwrap();
    }
    let (open, ended) = list(&sealed).await.unwrap();
    assert_eq!((open.len(), ended.len()), (0, 1));
    let recovered = jobs_of(&sealed).await.unwrap().remove(0);
    assert_eq!(recovered.phase(), &Phase::Sealed);
    assert_eq!(recovered.totals(), manifest.totals());
}

#[tokio::test]
async fn what_ended_a_job_still_ends_it_and_a_cancellation_counts_more_than_a_failure() {
    let root = Root::new().await;
    let id = root.spec.id();
    let message = "there is no method `x`".to_owned();
    let failed = Failed {
        message: message.clone(),
    };
    root.create(&layout::failed(&id), &failed).await;
    let expected = Phase::Failed {
        message,
        is_final: true,
    };
    let job = root.job().await;
    // The record is in the store already, so nothing is due.
    assert_eq!((job.phase(), job.due(at(0))), (&expected, Vec::new()));
    root.create(&layout::cancel(&id), &json!({})).await;
    assert_eq!(root.job().await.phase(), &Phase::Cancelled);
}

#[tokio::test]
async fn failures_under_earlier_coordinators_count_against_slots_that_are_still_open() {
    let root = Root::new().await;
    let half = slot(0).split()[0].clone();
    root.put(&slot(0), SlotKind::Tombstone, 0).await;
    for number in 1..=3 {
        for slot in [&slot(0), &half] {
            let number = number + if *slot == half { 10 } else { 0 };
            let failure = failure(slot, number, "a", FailureClass::Internal);
            root.record(&failure).await;
        }
    }
    let quarantine = Due::Quarantine {
        slot: half,
        class: FailureClass::Internal,
        message: "it broke".to_owned(),
    };
    let mut job = root.job().await;
    verify_all(&mut job, at(1));
    assert_eq!(job.due(at(0)), [quarantine]);
}

#[tokio::test]
async fn a_damaged_job_is_left_out_and_the_others_are_served() {
    let root = Root::new().await;
    let healthy = root.spec.id();
    for (number, damaged) in (1..).zip([
        layout::spec as fn(&JobId) -> String,
        layout::plan,
        layout::sealed,
        layout::failed,
    ]) {
        let spec = spec(&format!("damaged-{number}"));
        let key = damaged(&spec.id());
        root.store.create(&key, "not JSON".into()).await.unwrap();
        root.submit(&spec).await;
    }
    let jobs = root.jobs().await.unwrap();
    let ids: Vec<_> = jobs.iter().map(Job::id).collect();
    assert_eq!(ids, [&healthy]);
}

#[tokio::test]
async fn a_slot_that_is_no_table_ends_its_job_and_is_named() {
    let root = Root::new().await;
    let key = layout::slot(&layout::table(&root.spec), &slot(1));
    root.store.create(&key, "not a table".into()).await.unwrap();
    let job = root.job().await;
    let Phase::Failed { message, is_final } = job.phase() else {
        panic!("the damage is not noticed");
    };
    assert!(!is_final && message.contains(&key), "{message}");
}

#[tokio::test]
async fn slots_are_read_once_and_each_before_its_halves() {
    let root = Root::new().await;
    root.put(&slot(1), SlotKind::Full, 1).await;
    let job = root.job().await;
    let [first, second] = slot(0).split();
    let listed = |slot: &SlotId| Listed {
        key: layout::slot(job.table(), slot),
        bytes: 1,
    };
    let other = Listed {
        key: format!("{}/_delta_log/0.json", job.table()),
        bytes: 1,
    };
    // In the order of a listing, where `-` comes before `.`.
    let listing = vec![
        other,
        listed(&first),
        listed(&second),
        listed(&slot(0)),
        listed(&slot(1)),
    ];
    let unread = unread_slots(&job, listing);
    let unread: Vec<_> = unread.into_iter().map(|(slot, _)| slot).collect();
    assert_eq!(unread, [slot(0), first, second]);
}

#[tokio::test]
async fn what_is_below_a_lost_tombstone_is_kept_and_its_slot_not_computed_again() {
    let root = Root::new().await;
    let [first, second] = slot(0).split();
    root.put(&first, SlotKind::Full, 1).await;
    let job = root.job().await;
    assert!(matches!(job.slot(&slot(0)), Some(SlotState::Split { .. })));
    assert!(matches!(job.slot(&first), Some(SlotState::Filled(_))));
    assert!(matches!(job.slot(&second), Some(SlotState::Pending { .. })));
    assert_eq!(job.totals().slots, 3);
    // Reading it finds nothing there, and writes the tombstone again.
    assert!(job.due(at(0)).contains(&Due::Verify(slot(0))));
}
