//! Whether a store keeps its one promise: of many who create an object, one succeeds.
//!
//! Some servers that speak S3 take the condition and ignore it, and would silently corrupt tables.
//! The probe catches those. It cannot prove that a store is atomic; which stores are is documented.

use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use ulid::Ulid;

use super::{Created, SlotStore, StoreError};
use crate::layout;

/// Enough to catch a store that sometimes lets two writers in, and few enough to take no time.
const KEYS: usize = 8;
const WRITERS: usize = 16;

/// Checks that `store` creates objects once and lists them at once.
///
/// The whole check runs once a root and leaves a marker; later calls only ask to create the marker
/// again, which an honest store refuses. Fails with [`StoreError::Unsafe`] if the store must not be
/// used, with [`StoreError::Unavailable`] if it does not answer.
pub async fn probe(store: &dyn SlotStore) -> Result<(), StoreError> {
    let unsafe_if = |is_unsafe: bool, finding: &str| {
        if is_unsafe {
            return Err(StoreError::Unsafe {
                url: store.url().to_owned(),
                finding: finding.to_owned(),
            });
        }
        Ok(())
    };
    let overwrote = "it replaced an object that was to be created only if absent";
    let passed = Bytes::from_static(b"{}");
    if store.head(layout::PROBED).await?.is_some() {
        let again = store.create(layout::PROBED, passed).await?;
        return unsafe_if(again == Created::Now, overwrote);
    }

    let folder = format!("{}/{}", layout::PROBES, Ulid::new());
    let twice = format!("{folder}/twice");
    store.create(&twice, Bytes::from_static(b"1")).await?;
    let second = store.create(&twice, Bytes::from_static(b"2")).await?;
    unsafe_if(second == Created::Now, overwrote)?;
    let kept = store.get(&twice).await?;
    unsafe_if(
        kept.as_deref() != Some(b"1"),
        "an object changed after it was created",
    )?;

    let races = (0..KEYS).map(|key| race(store, format!("{folder}/{key}")));
    for winners in try_join_all(races).await? {
        unsafe_if(
            winners != 1,
            &format!("{winners} of {WRITERS} racing writers won"),
        )?;
    }
    let listed = store.list(&folder).await?.len();
    unsafe_if(
        listed != KEYS + 1,
        &format!("it lists {listed} of {} objects just created", KEYS + 1),
    )?;
    store.create(layout::PROBED, passed).await?;
    Ok(())
}

/// Lets writers race for `key`; returns how many were told that they created it.
async fn race(store: &dyn SlotStore, key: String) -> Result<usize, StoreError> {
    let writers = (0..WRITERS).map(|writer| store.create(&key, Bytes::from(writer.to_string())));
    let mut winners = 0;
    for outcome in join_all(writers).await {
        winners += usize::from(outcome? == Created::Now);
    }
    Ok(winners)
}
