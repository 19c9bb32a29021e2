//! Tests of results on disk, with a store in memory that is away for a while.

use whence_schemas::{Epoch, Footer, SlotId, SlotKind, output, slot_file};

use super::*;
use crate::testing::{Fault, MemoryStore, spec};

fn attempt(number: u128) -> Attempt {
    Attempt::of(ulid::Ulid(number))
}

/// Returns the key and the object of a slot of [`spec`].
fn object(number: u128) -> (String, Bytes) {
    let (spec, slot) = (spec(), SlotId::of_shard(number as usize));
    let schema = output::schema(&[], &arrow::datatypes::Fields::empty());
    let batch = arrow::array::RecordBatch::new_empty(schema.into());
    let footer = Footer {
        slot: slot.clone(),
        attempt: attempt(number),
        kind: SlotKind::Full,
        examples: 1,
        errors: 0,
        worker: "w".parse().unwrap(),
        epoch: Epoch(1),
        spec_json: spec.canonical_json(),
        code_version: "1".to_owned(),
    };
    let key = layout::slot(&layout::table(&spec), &slot);
    (key, slot_file::encode(&batch, &footer).unwrap().into())
}

/// Returns the names of all files below `folder`, without the locks.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if entry.path().is_dir() {
                open.push(entry.path());
            } else if name != LOCK {
                found.push(name);
            }
        }
    }
    found
}

#[tokio::test(start_paused = true)]
async fn a_result_outlasts_an_outage_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::new(folder.path(), 1 << 20, "memory://root");
    let (key, bytes) = object(1);
    let kept = spool.keep(&key, &attempt(1), &bytes).unwrap().unwrap();
    // An hour, more or less.
    let store = MemoryStore::with_faults([Some(Fault::Unwritten); 1000]);
    let outcome = kept.deliver(&store, &CancellationToken::new()).await;
    assert_eq!(outcome.unwrap(), Outcome::Committed);
    assert_eq!(store.objects()[&key], bytes);
    assert_eq!(files(folder.path()), [""; 0]);
    drop(spool);
    let shared = fs::read_dir(folder.path()).unwrap().next().unwrap();
    let own = fs::read_dir(shared.unwrap().path()).unwrap().count();
    assert_eq!(own, 0, "the worker's own folder is gone");
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_was_filled_meanwhile_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::new(folder.path(), 1 << 20, "memory://root");
    let (key, ours) = object(1);
    let kept = spool.keep(&key, &attempt(7), &ours).unwrap().unwrap();
    let store = MemoryStore::default();
    store.create(&key, ours.clone()).await.unwrap();
    let outcome = kept.deliver(&store, &CancellationToken::new()).await;
    assert_eq!(outcome.unwrap(), Outcome::Superseded);
    assert_eq!(files(folder.path()), [""; 0]);
}

#[test]
fn there_is_no_more_room_than_allowed_and_it_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::new(folder.path(), 10, "memory://root");
    let keep = |number, size| spool.keep("k", &attempt(number), &vec![0; size]).unwrap();
    let first = keep(1, 6).unwrap();
    assert!(keep(2, 5).is_none());
    let second = keep(3, 4).unwrap();
    drop(first);
    assert!(keep(4, 6).is_some());
    drop(second);
    let none = Spool::new(folder.path(), 0, "memory://root");
    assert!(none.keep("k", &attempt(5), b"x").unwrap().is_none());
    assert_eq!(files(folder.path()), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_leaves_behind_is_committed_by_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let (key, bytes) = object(1);
    let spool = Spool::new(folder.path(), 1 << 20, "memory://root");
    let kept = spool.keep(&key, &attempt(1), &bytes).unwrap().unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    let away = MemoryStore::with_faults([Some(Fault::Unwritten); 1000]);
    let left = kept.deliver(&away, &stop).await.unwrap_err();
    assert_eq!(left.kind(), ErrorKind::Unavailable);
    assert_eq!(files(folder.path()).len(), 1);

    let store = MemoryStore::default();
    let next = Spool::new(folder.path(), 1 << 20, "memory://root");
    // The first worker is still there.
    next.deliver_left_behind(&store, &CancellationToken::new())
        .await;
    assert!(store.objects().is_empty());
    drop(spool);
    // It is another store's.
    let other = Spool::new(folder.path(), 1 << 20, "memory://other");
    other
        .deliver_left_behind(&store, &CancellationToken::new())
        .await;
    assert!(store.objects().is_empty());
    next.deliver_left_behind(&store, &CancellationToken::new())
        .await;
    assert_eq!(store.objects()[&key], bytes);
    assert_eq!(files(folder.path()), [""; 0]);
}
