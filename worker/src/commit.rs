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
use whence_schemas::{Attempt, SlotKind, chain};

/// How long to retry if the store does not answer, before the attempt is given up. The store's own
/// client has by then retried each call for up to a minute.
const COMMITTING: RetryPolicy = RetryPolicy {
    first_pause: Duration::from_millis(200),
    longest_pause: Duration::from_secs(2),
    give_up_after: Duration::from_secs(5),
};

/// Puts `bytes` into the slot `key`, or finds out what is there.
pub async fn commit(
    store: &dyn SlotStore,
    key: &str,
    attempt: &Attempt,
    bytes: Bytes,
) -> Result<Outcome, StoreError> {
    let on_wait = |error: &StoreError, left: Duration| {
        let (cause, left) = (chain(error), in_words(left));
        warn!(
            cause,
            key, "no answer from the store; trying for another {left}"
        );
    };
    let commit = || try_commit(store, key, attempt, bytes.clone());
    let committed = retry(COMMITTING, StoreError::kind, on_wait, commit).await;
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
        Ok(Created::Now) => return Ok(Outcome::Committed),
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
