//! Stores in the memory of this process, for tests: `memory://name`.
//!
//! Nobody else sees such a store. Its URL is therefore served only to the process that has made it,
//! so that no worker or later command takes an empty store for the one that was meant.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path;
use url::Url;

use super::{RemoteSlotStore, SlotStore, StoreError};

/// The scheme of their URLs.
pub(super) const SCHEME: &str = "memory";

/// Every store of this process, by its name.
static STORES: Mutex<BTreeMap<String, Arc<InMemory>>> = Mutex::new(BTreeMap::new());

/// Makes a store called `name` in the memory of this process, unless there is one. Returns its URL,
/// which [`super::open`] then serves. `name` must be like the name of a host.
pub fn memory(name: &str) -> String {
    let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    stores.entry(name.to_owned()).or_default();
    format!("{SCHEME}://{name}")
}

/// Every store that was shared within this process, by its URL.
static SHARED: Mutex<BTreeMap<String, Arc<dyn SlotStore>>> = Mutex::new(BTreeMap::new());

/// Makes [`super::open`] return `store` for its own URL, which is `memory://` and a name. For stores that
/// a test makes itself, such as one that fails.
pub fn share(store: Arc<dyn SlotStore>) {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.insert(store.url().to_owned(), store);
}

/// Ends what [`share`] began for the store at `url`.
pub fn unshare(url: &str) {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.remove(url);
}

/// Opens the store that `url` names.
pub(super) fn open(url: &Url) -> Result<Arc<dyn SlotStore>, StoreError> {
    let shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    match shared.get(url.as_str()) {
        Some(store) => Ok(Arc::clone(store)),
        None => Ok(Arc::new(made(url)?)),
    }
}

fn made(url: &Url) -> Result<RemoteSlotStore, StoreError> {
    let root = Path::from_url_path(url.path()).map_err(|error| StoreError::Url {
        url: url.to_string(),
        reason: error.to_string(),
    })?;
    Ok(RemoteSlotStore::new(objects(url)?, root, url.as_str()))
}

/// Returns the client of the store that `url` names. Fails if this process has made none.
pub(super) fn objects(url: &Url) -> Result<Arc<dyn ObjectStore>, StoreError> {
    let stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    match stores.get(url.host_str().unwrap_or_default()) {
        Some(store) => Ok(Arc::clone(store) as Arc<dyn ObjectStore>),
        None => Err(StoreError::Url {
            url: url.to_string(),
            reason: "a store in memory is for tests, in the process that has made it".to_owned(),
        }),
    }
}
