//! Stores of objects. A store is named by a URL, and each of its objects is created once.
//!
//! [`SlotStore::create`] is the only operation that decides anything: of all who try to create an
//! object, exactly one succeeds. Nothing in this module can overwrite an object, and no caller
//! needs to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use url::Url;

mod local;
mod memory;
mod probe;
mod read_footer;
mod remote;
mod slot_store;

pub use local::LocalSlotStore;
pub use memory::{memory, share, unshare};
pub use probe::{Check, Examination, examine, probe};
pub use read_footer::read_footer;
pub use remote::{
    RemoteSlotStore, credentials_to_read, is_bucket, lacks_credentials, no_credentials,
};
pub use slot_store::{Created, Listed, SlotStore, StoreError, URL_FORMS};

/// Opens the store at `url`: `file:///…`, a plain path, `s3://bucket/prefix`, `gs://bucket/prefix`,
/// `az://container/prefix`, or what [`memory`] has made in this process.
///
/// Credentials, region and endpoint come from the usual `AWS_…`, `GOOGLE_…` and `AZURE_…` variables.
/// Fails if the scheme is not supported or the location cannot be used.
pub fn open(url: &str) -> Result<Arc<dyn SlotStore>, StoreError> {
    open_with(url, LocalSlotStore::open)
}

/// Opens the store at `url` for reading. Writes nothing, and needs no permission to write.
///
/// Accepts the same URLs as [`open`]. Also fails if a directory does not exist.
pub fn open_to_read(url: &str) -> Result<Arc<dyn SlotStore>, StoreError> {
    open_with(url, LocalSlotStore::open_to_read)
}

fn open_with(
    url: &str,
    open_local: fn(&Path) -> Result<LocalSlotStore, StoreError>,
) -> Result<Arc<dyn SlotStore>, StoreError> {
    let refuse = |reason: &str| StoreError::Url {
        url: url.to_owned(),
        reason: reason.to_owned(),
    };
    if url.is_empty() {
        return Err(refuse("it is empty"));
    }
    let Some((scheme, _)) = url.split_once("://") else {
        return Ok(Arc::new(open_local(Path::new(url))?));
    };
    let parsed = Url::parse(url).map_err(|error| refuse(&error.to_string()))?;
    match scheme {
        "file" => {
            let directory = parsed
                .to_file_path()
                .map_err(|()| refuse("it names no directory of this machine"))?;
            Ok(Arc::new(open_local(&directory)?))
        }
        memory::SCHEME => memory::open(&parsed),
        _ => Ok(Arc::new(RemoteSlotStore::open(&parsed)?)),
    }
}

/// Returns the directory that `url` names, or `None` if it does not name a directory of this
/// machine.
pub fn local_root(url: &str) -> Option<PathBuf> {
    if !url.contains("://") {
        return Some(url.into());
    }
    let parsed = Url::parse(url).ok().filter(|url| url.scheme() == "file")?;
    parsed.to_file_path().ok()
}

/// A storage root as an `object_store` client, for query engines that read Parquet in their own
/// way.
#[derive(Debug)]
pub struct Objects {
    /// The client of the whole store; paths are relative to the bucket or file system, not to the
    /// root.
    pub store: Arc<dyn ObjectStore>,
    root: Url,
}

impl Objects {
    /// Returns the URL of a folder below the root, in the form that a reader of `store` expects.
    pub fn url_of(&self, folder: &str) -> String {
        format!("{}/{folder}/", self.root.as_str().trim_end_matches('/'))
    }
}

/// Opens the storage root at `url` for reading. Accepts the same URLs as [`open_to_read`] and fails
/// in the same cases.
pub fn objects(url: &str) -> Result<Objects, StoreError> {
    let opened = open_to_read(url)?;
    let refuse = |reason: String| StoreError::Url {
        url: url.to_owned(),
        reason,
    };
    let mut root = Url::parse(opened.url()).map_err(|error| refuse(error.to_string()))?;
    let store: Arc<dyn ObjectStore> = match root.scheme() {
        "file" => Arc::new(LocalFileSystem::new()),
        memory::SCHEME => memory::objects(&root)?,
        _ => remote::bucket(&root)?.objects,
    };
    // The query holds settings such as `endpoint`, which are already in `store`.
    root.set_query(None);
    Ok(Objects { store, root })
}

#[cfg(test)]
mod tests;
