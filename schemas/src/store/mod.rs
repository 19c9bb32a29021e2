//! Where objects live. Always a URL; always created once.
//!
//! [`SlotStore::create`] is the one decision of the whole system: of everybody who tries to create
//! an object, exactly one succeeds. Nothing here can overwrite, and nothing above here needs to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use url::Url;

mod local;
mod probe;
mod read_footer;
mod remote;
mod slot_store;

pub use local::LocalSlotStore;
pub use probe::probe;
pub use read_footer::read_footer;
pub use remote::RemoteSlotStore;
pub use slot_store::{Created, Listed, SlotStore, StoreError};

/// Opens the store at `url`: `file:///…`, a plain path, `s3://bucket/prefix`.
///
/// S3 credentials, region and endpoint come from the usual `AWS_…` variables. Fails if the scheme
/// is not served or the location cannot be used.
pub fn open(url: &str) -> Result<Arc<dyn SlotStore>, StoreError> {
    open_with(url, LocalSlotStore::open)
}

/// Opens the store at `url` to read what it holds. Writes nothing, and needs no permission to.
///
/// Takes what [`open`] takes; fails also if a directory does not exist.
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
        "s3" => Ok(Arc::new(RemoteSlotStore::open_s3(&parsed)?)),
        _ => Err(refuse("its scheme is not served")),
    }
}

/// Returns the directory that `url` names, if it names one of this machine.
pub fn local_root(url: &str) -> Option<PathBuf> {
    if !url.contains("://") {
        return Some(url.into());
    }
    let parsed = Url::parse(url).ok().filter(|url| url.scheme() == "file")?;
    parsed.to_file_path().ok()
}

/// A storage root as `object_store` reaches it, for readers that bring their own way of reading.
#[derive(Debug)]
pub struct Objects {
    /// What reads.
    pub store: Arc<dyn ObjectStore>,
    root: Url,
}

impl Objects {
    /// Returns the URL of a folder below the root, by which `store` is to be asked.
    pub fn url_of(&self, folder: &str) -> String {
        format!("{}/{folder}/", self.root.as_str().trim_end_matches('/'))
    }
}

/// Reaches the storage root at `url`, to read. Takes what [`open_to_read`] takes, and fails as it
/// does.
pub fn objects(url: &str) -> Result<Objects, StoreError> {
    let opened = open_to_read(url)?;
    let refuse = |reason: String| StoreError::Url {
        url: url.to_owned(),
        reason,
    };
    let mut root = Url::parse(opened.url()).map_err(|error| refuse(error.to_string()))?;
    let store: Arc<dyn ObjectStore> = if root.scheme() == "file" {
        Arc::new(LocalFileSystem::new())
    } else {
        remote::bucket(&root)?.objects
    };
    root.set_query(None);
    Ok(Objects { store, root })
}

#[cfg(test)]
mod tests;
