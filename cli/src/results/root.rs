//! A storage root that is only read: whether it is one, and which jobs it has.

use std::sync::Arc;

use whence_coordinator::durable::root::is_root;
use whence_schemas::store::{self, SlotStore};
use whence_schemas::{JobId, layout};

use crate::Failure;

/// Opens a storage root for reading. Fails if it is not one: unlike a coordinator, a command that
/// only reads never creates a root.
pub(crate) async fn open_root(root: &str) -> Result<Arc<dyn SlotStore>, Failure> {
    let refuse = |what: String| {
        Err(Failure::request(what)
            .hint("name it with --root, or make one with `whence attribute-dataset --root …`"))
    };
    match store::local_root(root) {
        Some(path) if !path.exists() => {
            return refuse(format!("there is no storage root `{root}`"));
        }
        Some(path) if !path.is_dir() => {
            return refuse(format!(
                "`{root}` is not a storage root: it is not a directory"
            ));
        }
        _ => {}
    }
    let store = store::open_to_read(root)?;
    if is_root(store.as_ref()).await? {
        return Ok(store);
    }
    refuse(format!(
        "`{root}` is not a storage root: it has no `{}`",
        layout::FORMAT
    ))
}

/// Returns the ids of all jobs in a storage root.
pub(crate) async fn jobs(store: &dyn SlotStore) -> Result<Vec<JobId>, Failure> {
    let objects = store.list(layout::JOBS).await?;
    let mut ids: Vec<JobId> = objects
        .iter()
        .filter_map(|object| object.key.split('/').nth(1)?.parse().ok())
        .collect();
    ids.dedup();
    Ok(ids)
}

/// Reads an object that holds JSON; `None` if there is no such object.
pub(crate) async fn get<T: serde::de::DeserializeOwned>(
    store: &dyn SlotStore,
    key: &str,
) -> Result<Option<T>, Failure> {
    let Some(bytes) = store.get(key).await? else {
        return Ok(None);
    };
    let value = serde_json::from_slice(&bytes);
    value
        .map(Some)
        .map_err(|error| Failure::run(format!("read `{key}`: {error}")))
}
