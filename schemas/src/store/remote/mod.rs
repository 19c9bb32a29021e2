//! Objects in a bucket, reached through `object_store` and created with a condition.
//!
//! If the answer to a create is lost, the underlying client repeats the request and then finds its
//! own object in the way. [`Created::Already`] therefore means "an object exists", not "somebody
//! else's object exists". A caller that needs to know whose it is reads the object.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use url::Url;

use super::{Created, Listed, SlotStore, StoreError};

mod azure;
mod endpoint;
mod gcs;
mod machine;
mod provider;
mod providers;
mod s3;

pub use machine::lacks_credentials;
pub(super) use providers::{Bucket, bucket};
pub use providers::{credentials_to_read, is_bucket, no_credentials};

/// A folder of a bucket, whose objects are the store's.
#[derive(Debug)]
pub struct RemoteSlotStore {
    objects: Arc<dyn ObjectStore>,
    root: Path,
    url: String,
    /// Where the credentials come from, in words and without secrets.
    credentials: Option<&'static str>,
}

impl RemoteSlotStore {
    /// Uses the folder `root` of `objects`. `url` is the name used in messages and by workers.
    ///
    /// `objects` must refuse [`PutMode::Create`] if an object exists, which [`super::probe`]
    /// checks.
    pub fn new(objects: Arc<dyn ObjectStore>, root: Path, url: &str) -> Self {
        Self {
            objects,
            root,
            url: url.to_owned(),
            credentials: None,
        }
    }

    /// Opens the folder of a bucket that `url` names.
    pub(super) fn open(url: &Url) -> Result<Self, StoreError> {
        let Bucket {
            objects,
            root,
            credentials,
        } = bucket(url)?;
        Ok(Self {
            credentials: Some(credentials),
            ..Self::new(objects, root, url.as_str())
        })
    }

    fn path(&self, key: &str) -> Result<Path, StoreError> {
        let relative = Path::parse(key).map_err(|error| self.unavailable("name", key, error))?;
        Ok(self.root.parts().chain(relative.parts()).collect())
    }

    /// Returns the key of the object at `path`, or `None` if it is outside the root.
    fn key(&self, path: &Path) -> Option<String> {
        let parts: Vec<_> = path.prefix_match(&self.root)?.collect();
        let parts: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
        Some(parts.join("/"))
    }

    /// Turns the error that an object does not exist into `None`.
    fn found<T>(
        &self,
        action: &'static str,
        key: &str,
        outcome: Result<T, Error>,
    ) -> Result<Option<T>, StoreError> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.unavailable(action, key, error)),
        }
    }

    fn unavailable(
        &self,
        action: &'static str,
        key: &str,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> StoreError {
        if lacks_credentials(&source) {
            return no_credentials(&self.url);
        }
        StoreError::Unavailable {
            url: self.url.clone(),
            action,
            key: key.to_owned(),
            source: Box::new(source),
        }
    }
}

#[async_trait]
impl SlotStore for RemoteSlotStore {
    async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, StoreError> {
        let options = PutOptions::from(PutMode::Create);
        let path = self.path(key)?;
        match self.objects.put_opts(&path, bytes.into(), options).await {
            Ok(_) => Ok(Created::Now),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(Created::Already),
            Err(error) => Err(self.unavailable("create", key, error)),
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let path = self.path(key)?;
        let read = async { self.objects.get(&path).await?.bytes().await };
        self.found("read", key, read.await)
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let path = self.path(key)?;
        let read = self.objects.get_range(&path, range).await;
        read.map_err(|error| self.unavailable("read", key, error))
    }

    async fn head(&self, key: &str) -> Result<Option<Listed>, StoreError> {
        let path = self.path(key)?;
        let found = self.found("look at", key, self.objects.head(&path).await)?;
        Ok(found.map(|object| Listed {
            key: key.to_owned(),
            bytes: object.size,
        }))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        let folder = self.path(prefix)?;
        let objects: Vec<_> = self
            .objects
            .list(Some(&folder))
            .try_collect()
            .await
            .map_err(|error| self.unavailable("list", prefix, error))?;
        let mut found: Vec<_> = objects
            .into_iter()
            .filter_map(|object| {
                Some(Listed {
                    key: self.key(&object.location)?,
                    bytes: object.size,
                })
            })
            .collect();
        found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn credentials(&self) -> Option<&str> {
        self.credentials
    }
}

#[cfg(test)]
mod tests;
