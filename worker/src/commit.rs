//! Filling a slot, exactly once.
//!
//! Creating the slot's object is the commit. Somebody else's object, a tombstone, or our own whose
//! acknowledgement was lost may already stand there: the footer says which. No answer at all means
//! we look before we try again.

use std::time::Duration;

use bytes::Bytes;
use tracing::warn;
use whence_proto::v1::Outcome;
use whence_schemas::Attempt;
use whence_schemas::output::footer;
use whence_schemas::store::{Created, FooterError, Listed, SlotFooter, SlotStore, StoreError};

/// Tries at a store that does not answer, before the attempt is given back.
const TRIES: u32 = 5;
/// Wait before the second try; doubled before each later one.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// Puts `bytes` into the slot `key`, or finds out what stands there.
pub async fn commit(
    store: &dyn SlotStore,
    key: &str,
    attempt: &Attempt,
    bytes: Bytes,
) -> Result<Outcome, StoreError> {
    let mut wait = FIRST_WAIT;
    for _ in 1..TRIES {
        match try_commit(store, key, attempt, bytes.clone()).await {
            Err(error @ StoreError::Unavailable { .. }) => {
                warn!(%error, key, "store did not answer, trying again");
            }
            decided => return decided,
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
    try_commit(store, key, attempt, bytes).await
}

async fn try_commit(
    store: &dyn SlotStore,
    key: &str,
    attempt: &Attempt,
    bytes: Bytes,
) -> Result<Outcome, StoreError> {
    let refused = match store.create(key, bytes).await {
        Ok(Created::Now) => return Ok(Outcome::Committed),
        Ok(Created::Already) => None,
        // The object may have landed before the error: look, and only if nothing is there, fail.
        Err(error) => Some(error),
    };
    match (store.head(key).await, refused) {
        (Ok(Some(object)), _) => what_stands(store, &object, attempt).await,
        (_, Some(error)) | (Err(error), None) => Err(error),
        (Ok(None), None) => Err(StoreError::Unavailable {
            url: store.url().to_owned(),
            action: "find what stands at",
            key: key.to_owned(),
            source: "the slot was emptied".into(),
        }),
    }
}

/// Reads who filled a slot.
async fn what_stands(
    store: &dyn SlotStore,
    object: &Listed,
    attempt: &Attempt,
) -> Result<Outcome, StoreError> {
    let footer = SlotFooter::read(store, object).await;
    let footer = footer.map_err(|error| match error {
        FooterError::Store(error) => error,
        damaged @ FooterError::Damaged { .. } => StoreError::Unavailable {
            url: store.url().to_owned(),
            action: "read footer of",
            key: object.key.clone(),
            source: Box::new(damaged),
        },
    })?;
    if footer.value(footer::ATTEMPT) == Some(attempt.as_str()) {
        return Ok(Outcome::Committed);
    }
    match footer.value(footer::KIND) {
        Some(footer::KIND_TOMBSTONE) => Ok(Outcome::Split),
        _ => Ok(Outcome::Superseded),
    }
}
