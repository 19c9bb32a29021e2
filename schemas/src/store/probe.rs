//! Checks that a store keeps its one promise: of many who create an object, exactly one succeeds.
//!
//! Some S3-compatible servers accept the condition and ignore it, and would silently corrupt
//! tables. The probe detects those. It cannot prove that a store is atomic; the documentation lists
//! the stores that are.

use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use ulid::Ulid;

use super::{Created, SlotStore, StoreError};
use crate::layout;

/// Number of keys that are raced for: enough to catch a store that sometimes lets two writers win,
/// few enough to take almost no time.
const KEYS: usize = 8;
/// Number of concurrent writers per key.
const WRITERS: usize = 16;

/// Checks that `store` creates objects only once, and lists them as soon as they are created.
///
/// The full check runs once per root and leaves a marker. Later calls only try to create the marker
/// again, which a correct store refuses. Fails with [`StoreError::Unsafe`] if the store must not be
/// used, and with [`StoreError::Unavailable`] if it does not answer.
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

/// Lets writers race for `key`. Returns how many of them were told that they created it.
async fn race(store: &dyn SlotStore, key: String) -> Result<usize, StoreError> {
    let writers = (0..WRITERS).map(|writer| store.create(&key, Bytes::from(writer.to_string())));
    let mut winners = 0;
    for outcome in join_all(writers).await {
        winners += usize::from(outcome? == Created::Now);
    }
    Ok(winners)
}
