//! The objects that the coordinator writes to the store, and how it recovers from them.
//!
//! No object is ever replaced: the modules here only create objects and read them. If two
//! coordinators write the same object at once, the first write wins and the other has no effect.

use serde::Serialize;
use serde::de::DeserializeOwned;
use whence_schemas::canonical;
use whence_schemas::store::{Created, SlotStore};

use crate::Error;

pub mod epoch;
mod fallback;
pub mod manifest;
pub mod pauses;
pub mod recover;
pub mod root;
pub mod schedules;
mod slot_object;
mod verified;

pub use fallback::{Author, quarantine, tombstone, unread_rows};
pub use slot_object::{SlotObject, inspect, seen_below};
pub use verified::{Expected, Found, verify};

/// Creates an object that holds `value` as canonical JSON, unless the object already exists.
pub(crate) async fn create_json<T: Serialize + Sync>(
    store: &dyn SlotStore,
    key: &str,
    value: &T,
) -> Result<Created, Error> {
    let text = canonical::to_string(value)
        .map_err(|error| Error::Internal(format!("write `{key}`: {error}")))?;
    Ok(store.create(key, text.into()).await?)
}

/// Reads an object that holds JSON; `None` if it does not exist.
///
/// Fails with [`Error::Stored`] if the content is not valid.
pub(crate) async fn get_json<T: DeserializeOwned>(
    store: &dyn SlotStore,
    key: &str,
) -> Result<Option<T>, Error> {
    let Some(bytes) = store.get(key).await? else {
        return Ok(None);
    };
    let value = serde_json::from_slice(&bytes).map_err(|error| Error::Stored {
        key: key.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(Some(value))
}
