//! Where objects live. Always a URL; always created once.
//!
//! [`SlotStore::create`] is the one decision of the whole system: of everybody who tries to create
//! an object, exactly one succeeds. Nothing here can overwrite, and nothing above here needs to.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use url::Url;

mod local;
mod probe;
mod remote;
mod slot_footer;

pub use local::LocalSlotStore;
pub use probe::probe;
pub use remote::RemoteSlotStore;
pub use slot_footer::{FooterError, SlotFooter};

/// What became of an attempt to create an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The object stands, durably, with the given bytes.
    Now,
    /// Another object, or this one from an earlier try, already stood there.
    Already,
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Name below the root.
    pub key: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// A store of objects that are created once and never change.
#[async_trait]
pub trait SlotStore: std::fmt::Debug + Send + Sync {
    /// Creates the object `key` unless one exists. Durable when it returns [`Created::Now`].
    ///
    /// After an error the object may or may not exist: try again, or look.
    async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, StoreError>;

    /// Returns an object's bytes, or `None` if it does not exist.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError>;

    /// Returns part of an object's bytes. Fails if the object does not exist.
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError>;

    /// Returns what stands at `key`, or `None`.
    async fn head(&self, key: &str) -> Result<Option<Listed>, StoreError>;

    /// Returns every object below the folder `prefix`, sorted by key.
    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError>;

    /// Returns the URL the store was opened from.
    fn url(&self) -> &str;
}

/// Opens the store at `url`: `file:///…`, a plain path, `s3://bucket/prefix`.
///
/// S3 credentials, region and endpoint come from the usual `AWS_…` variables. Fails if the scheme
/// is not served or the location cannot be used.
pub fn open(url: &str) -> Result<Arc<dyn SlotStore>, StoreError> {
    let refuse = |reason: &str| StoreError::Url {
        url: url.to_owned(),
        reason: reason.to_owned(),
    };
    if url.is_empty() {
        return Err(refuse("it is empty"));
    }
    let Some((scheme, _)) = url.split_once("://") else {
        return Ok(Arc::new(LocalSlotStore::open(Path::new(url))?));
    };
    let parsed = Url::parse(url).map_err(|error| refuse(&error.to_string()))?;
    match scheme {
        "file" => {
            let directory = parsed
                .to_file_path()
                .map_err(|()| refuse("it names no directory of this machine"))?;
            Ok(Arc::new(LocalSlotStore::open(&directory)?))
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

/// Reaches the storage root at `url`, to read. Takes what [`open`] takes, and fails as it does.
pub fn objects(url: &str) -> Result<Objects, StoreError> {
    let opened = open(url)?;
    let refuse = |reason: String| StoreError::Url {
        url: url.to_owned(),
        reason,
    };
    let mut root = Url::parse(opened.url()).map_err(|error| refuse(error.to_string()))?;
    let store: Arc<dyn ObjectStore> = if root.scheme() == "file" {
        Arc::new(LocalFileSystem::new())
    } else {
        remote::bucket(&root)?.0
    };
    root.set_query(None);
    Ok(Objects { store, root })
}

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The URL names no store we know.
    #[error(
        "`{url}` is not a store: {reason}; use a directory, `file:///…` or `s3://bucket/prefix`"
    )]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store did not answer, or refused.
    #[error("store `{url}`: {action} `{key}`")]
    Unavailable {
        /// The store.
        url: String,
        /// Verb of what was attempted.
        action: &'static str,
        /// The object.
        key: String,
        /// What the store said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store does not honour put-if-absent, so its results could be wrong.
    #[error("store `{url}` is unsafe: {finding}; it cannot hold whence's tables")]
    Unsafe {
        /// The store.
        url: String,
        /// What the probe saw.
        finding: String,
    },
}

#[cfg(test)]
mod tests;
