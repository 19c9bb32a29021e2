//! Filling a slot, exactly once.
//!
//! Creating the slot's object is the commit. Somebody else's object, a tombstone, or our own whose
//! acknowledgement was lost may already stand there: the footer says which. No answer at all means
//! we look before we try again.

use std::time::Duration;

use bytes::Bytes;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use tracing::warn;
use whence_proto::v1::Outcome;
use whence_schemas::Attempt;
use whence_schemas::output::footer;
use whence_schemas::store::{Created, SlotStore, StoreError};

/// Tries at a store that does not answer, before the attempt is given back.
const TRIES: u32 = 5;
/// Wait before the second try; doubled before each later one.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Bytes at the end of a Parquet file that hold its footer's length and the format's mark.
const TAIL_BYTES: u64 = 8;

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
    match store.create(key, bytes).await {
        Ok(Created::Now) => Ok(Outcome::Committed),
        Ok(Created::Already) => what_stands(store, key, attempt).await,
        // The object may have landed before the error: look, and only if nothing is there, fail.
        Err(error) => match store.head(key).await {
            Ok(Some(_)) => what_stands(store, key, attempt).await,
            _ => Err(error),
        },
    }
}

/// Reads who filled a slot.
async fn what_stands(
    store: &dyn SlotStore,
    key: &str,
    attempt: &Attempt,
) -> Result<Outcome, StoreError> {
    let damaged = |source: parquet::errors::ParquetError| StoreError::Unavailable {
        url: store.url().to_owned(),
        action: "read footer of",
        key: key.to_owned(),
        source: Box::new(source),
    };
    let metadata = read_footer(store, key).await?.map_err(damaged)?;
    let pairs = metadata.file_metadata().key_value_metadata();
    let value = |name: &str| {
        pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == name)?.value.as_deref())
    };
    if value(footer::ATTEMPT) == Some(attempt.as_str()) {
        return Ok(Outcome::Committed);
    }
    match value(footer::KIND) {
        Some(footer::KIND_TOMBSTONE) => Ok(Outcome::Split),
        _ => Ok(Outcome::Superseded),
    }
}

async fn read_footer(
    store: &dyn SlotStore,
    key: &str,
) -> Result<Result<ParquetMetaData, parquet::errors::ParquetError>, StoreError> {
    let Some(object) = store.head(key).await? else {
        return Ok(Err(parquet::errors::ParquetError::General(
            "the slot was emptied".to_owned(),
        )));
    };
    let tail = store
        .get_range(key, object.bytes.saturating_sub(TAIL_BYTES)..object.bytes)
        .await?;
    let Some(length) = tail
        .first_chunk::<4>()
        .map(|bytes| u64::from(u32::from_le_bytes(*bytes)))
    else {
        return Ok(Err(parquet::errors::ParquetError::EOF(
            "the slot's object is too short".to_owned(),
        )));
    };
    let footer_start = object.bytes.saturating_sub(TAIL_BYTES + length);
    let footer = store
        .get_range(key, footer_start..object.bytes - TAIL_BYTES)
        .await?;
    Ok(ParquetMetaDataReader::decode_metadata(&footer))
}
