//! Fills a slot, exactly once.
//!
//! Creating the slot's object is the commit. An object may already exist there: somebody else's, a
//! tombstone, or our own if its acknowledgement was lost. Its footer says which. After an error we
//! look at the slot before we try again.

use std::time::Duration;

use bytes::Bytes;
use tracing::warn;
use whence_proto::v1::Outcome;
use whence_schemas::retry::{GaveUp, RetryPolicy, in_words, retry};
use whence_schemas::store::{Created, Listed, SlotStore, StoreError, read_footer};
use whence_schemas::{Attempt, CrashPoint, SlotKind, chain};

/// How long to retry if the store does not answer, before the attempt is given up. The store's own
/// client has by then retried each call for up to a minute.
pub(crate) const COMMITTING: RetryPolicy = RetryPolicy {
    first_pause: Duration::from_millis(200),
    longest_pause: Duration::from_secs(2),
    give_up_after: Duration::from_secs(5),
};

/// Tries once, if something else will try again.
pub(crate) const ONCE: RetryPolicy = RetryPolicy {
    give_up_after: Duration::ZERO,
    ..COMMITTING
};

/// Puts `bytes` into the slot `key`, or finds out what is there. Tries again as `policy` says.
pub async fn commit(
    store: &dyn SlotStore,
    key: &str,
    attempt: &Attempt,
    bytes: Bytes,
    policy: RetryPolicy,
) -> Result<Outcome, StoreError> {
    CrashPoint::WorkerBeforePut.pass();
    let on_wait = |error: &StoreError, left: Duration| {
        let (cause, left) = (chain(error), in_words(left));
        warn!(
            cause,
            key, "no answer from the store; trying for another {left}"
        );
    };
    let commit = || try_commit(store, key, attempt, bytes.clone());
    let committed = retry(policy, StoreError::kind, on_wait, commit).await;
    committed.map_err(GaveUp::into_error)
}

/// Tries once to create the object. If it was not created now, finds out what is in the slot.
async fn try_commit(
    store: &dyn SlotStore,
    key: &str,
    attempt: &Attempt,
    bytes: Bytes,
) -> Result<Outcome, StoreError> {
    let refused = match store.create(key, bytes).await {
        Ok(Created::Now) => {
            CrashPoint::WorkerAfterPut.pass();
            return Ok(Outcome::Committed);
        }
        Ok(Created::Already) => None,
        // The object may have been created before the error. Look, and fail only if nothing is
        // there.
        Err(error) => Some(error),
    };
    match (store.head(key).await, refused) {
        (Ok(Some(object)), _) => what_stands(store, &object, attempt).await,
        (_, Some(error)) | (Err(error), None) => Err(error),
        // The store said that an object exists and then found none, so it was removed in between.
        (Ok(None), None) => Err(StoreError::Unavailable {
            url: store.url().to_owned(),
            action: "find what stands at",
            key: key.to_owned(),
            source: "the slot was emptied".into(),
        }),
    }
}

/// Reads the footer of the object in a slot and returns what it means for `attempt`.
async fn what_stands(
    store: &dyn SlotStore,
    object: &Listed,
    attempt: &Attempt,
) -> Result<Outcome, StoreError> {
    let footer = read_footer(store, object).await?;
    if footer.attempt == *attempt {
        return Ok(Outcome::Committed);
    }
    match footer.kind {
        SlotKind::Tombstone => Ok(Outcome::Split),
        SlotKind::Full | SlotKind::Quarantine => Ok(Outcome::Superseded),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;
    use whence_schemas::{Epoch, ErrorKind, Footer, SlotId, output, slot_file};

    use super::*;
    use crate::testing::{Fault, MemoryStore};

    const KEY: &str = "t/part-p000000.parquet";

    fn attempt(number: u128) -> Attempt {
        Attempt::of(ulid::Ulid(number))
    }

    /// Returns an object of this kind by the attempt of this number. It has no rows, because a
    /// commit reads only footers.
    fn object(kind: SlotKind, number: u128) -> Bytes {
        let schema = output::schema(&[], &arrow::datatypes::Fields::empty());
        let batch = arrow::array::RecordBatch::new_empty(schema.into());
        let footer = Footer {
            slot: SlotId::of_shard(0),
            attempt: attempt(number),
            kind,
            examples: 1,
            errors: 0,
            worker: "w".parse().unwrap(),
            epoch: Epoch(1),
            spec_json: "{}".to_owned(),
            code_version: "1".to_owned(),
        };
        slot_file::encode(&batch, &footer).unwrap().into()
    }

    /// Commits the object of attempt 1. Returns the outcome, and the object that is then in the
    /// slot.
    async fn commit_to(store: &MemoryStore) -> (Result<Outcome, StoreError>, Option<Bytes>) {
        let ours = object(SlotKind::Full, 1);
        let outcome = commit(store, KEY, &attempt(1), ours, COMMITTING).await;
        (outcome, store.objects().get(KEY).cloned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_keeps_the_first_object_and_the_outcome_says_what_that_is() {
        for (kind, expected) in [
            (SlotKind::Full, Outcome::Superseded),
            (SlotKind::Quarantine, Outcome::Superseded),
            (SlotKind::Tombstone, Outcome::Split),
        ] {
            let store = MemoryStore::default();
            let first = object(kind, 2);
            store.create(KEY, first.clone()).await.unwrap();
            let (outcome, found) = commit_to(&store).await;
            assert_eq!((outcome.unwrap(), found), (expected, Some(first)));
        }
        let (outcome, found) = commit_to(&MemoryStore::default()).await;
        let ours = object(SlotKind::Full, 1);
        assert_eq!((outcome.unwrap(), found), (Outcome::Committed, Some(ours)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_once_costs_nothing_but_a_pause() {
        for fault in [Fault::Unwritten, Fault::Unacknowledged, Fault::Removed] {
            let store = MemoryStore::with_faults([Some(fault)]);
            let start = Instant::now();
            let (outcome, found) = commit_to(&store).await;
            let ours = object(SlotKind::Full, 1);
            assert_eq!((outcome.unwrap(), found), (Outcome::Committed, Some(ours)));
            // An object that was written is found at once: its footer names our attempt.
            let has_waited = !start.elapsed().is_zero();
            assert_eq!(has_waited, fault != Fault::Unacknowledged, "{fault:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_stays_away_is_given_up_as_transient() {
        let store = MemoryStore::with_faults([Some(Fault::Unwritten); 1000]);
        let start = Instant::now();
        let (outcome, found) = commit_to(&store).await;
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!((start.elapsed(), found), (COMMITTING.give_up_after, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_damaged_object_is_neither_replaced_nor_tried_again() {
        let store = MemoryStore::default();
        let damaged = Bytes::from_static(b"PAR1 and nothing else");
        store.create(KEY, damaged.clone()).await.unwrap();
        let start = Instant::now();
        let (outcome, found) = commit_to(&store).await;
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Data);
        assert_eq!((start.elapsed(), found), (Duration::ZERO, Some(damaged)));
    }
}
