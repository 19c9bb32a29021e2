//! The objects of a bucket as a source of datasets.
//!
//! A listing already says how long each object is and what its entity tag is, so that nothing more
//! is asked to pin a folder of many files.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error as StoreFailure, ObjectMeta, ObjectStore, ObjectStoreExt};
use whence_schemas::location::DataFile;
use whence_schemas::store;

use crate::Error;
use crate::content::{
    KeptRanges, PinnedFile, RemoteFailure, SharedContent, StoredObject, Version, explain_store,
    remote, wait,
};
use crate::files::network_failed;
use crate::resolve::source::Source;

/// Largest description of a dataset that is read, such as its card. It is read as a whole.
const MAX_DESCRIPTION_BYTES: u64 = 64 << 20;

/// A bucket. All paths are addresses in it.
pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    /// Its address, such as `s3://bucket`.
    root: String,
    /// What listings and questions about single objects have told so far.
    known: Mutex<HashMap<String, ObjectMeta>>,
    kept: KeptRanges,
}

impl Bucket {
    /// Opens the bucket at an address such as `s3://bucket`, with settings such as
    /// `endpoint=http://…`. The rest, credentials too, comes from the environment.
    pub(super) fn open(
        root: &str,
        settings: Option<&str>,
        kept: KeptRanges,
    ) -> Result<Self, Error> {
        let settings = settings.map_or_else(String::new, |settings| format!("?{settings}"));
        let objects = store::objects(&format!("{root}/{settings}"));
        let objects = objects.map_err(|error| RemoteFailure::Unsupported {
            url: root.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            store: objects.store,
            root: root.to_owned(),
            known: Mutex::default(),
            kept,
        })
    }

    /// Returns the key of an address. It is taken as it is written, without percent-decoding, as
    /// other programs take it.
    fn key(&self, address: &str) -> Result<Path, Error> {
        let key = address.strip_prefix(&self.root).unwrap_or(address);
        let key = Path::parse(key.trim_matches('/'));
        key.map_err(|error| Error::Pattern {
            pattern: address.to_owned(),
            reason: format!("no object can have this name: {error}"),
        })
    }

    fn address(&self, key: &Path) -> String {
        format!("{}/{key}", self.root)
    }

    /// Lists the objects below a folder, at least as many levels deep as asked for.
    fn list(&self, folder: &str, depth: Option<usize>) -> Result<Vec<ObjectMeta>, Error> {
        let key = self.key(folder)?;
        let prefix = (!key.as_ref().is_empty()).then_some(&key);
        let listed = wait(async || {
            if depth == Some(1) {
                let listed = self.store.list_with_delimiter(prefix).await?;
                return Ok(listed.objects);
            }
            self.store.list(prefix).try_collect().await
        });
        let listed = listed.map_err(network_failed)?;
        Ok(listed.map_err(|error| explain_store(error, folder))?)
    }

    /// Asks for the length and tag of an object.
    fn head(&self, address: &str) -> Result<ObjectMeta, Error> {
        let key = self.key(address)?;
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meta) = known().get(address)
            && meta.e_tag.is_some()
        {
            return Ok(meta.clone());
        }
        let meta = wait(|| self.store.head(&key)).map_err(network_failed)?;
        let meta = meta.map_err(|error| explain_store(error, address))?;
        known().insert(address.to_owned(), meta.clone());
        Ok(meta)
    }
}

impl Source for Bucket {
    fn files_below(&self, folder: &str, depth: Option<usize>) -> Result<Vec<String>, Error> {
        let key = self.key(folder)?;
        let listed = self.list(folder, depth)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::new();
        for meta in listed {
            let levels = meta.location.prefix_match(&key).map_or(0, Iterator::count);
            // An empty object with the name of the folder marks the folder itself.
            if levels > 0 && depth.is_none_or(|depth| levels <= depth) {
                let address = self.address(&meta.location);
                found.push(address.clone());
                known.insert(address, meta);
            }
        }
        Ok(found)
    }

    fn has_file(&self, path: &str) -> Result<bool, Error> {
        match self.head(path) {
            Ok(_) => Ok(true),
            Err(Error::Remote(failure)) if matches!(*failure, RemoteFailure::Missing { .. }) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        let key = self.key(path)?;
        let read = wait(async || {
            let answer = self.store.get(&key).await?;
            if answer.meta.size > MAX_DESCRIPTION_BYTES {
                return Ok(None);
            }
            answer.bytes().await.map(Some)
        });
        match read.map_err(network_failed)? {
            Ok(Some(bytes)) => Ok(Some(bytes.into())),
            Ok(None) => Err(Error::Card {
                file: path.to_owned(),
                reason: "it is too large for a description of a dataset".to_owned(),
            }),
            Err(StoreFailure::NotFound { .. }) => Ok(None),
            Err(error) => Err(explain_store(error, path).into()),
        }
    }

    fn describe(&self, path: &str, split: &str) -> Result<DataFile, Error> {
        let meta = self.head(path)?;
        let version = Version::from_headers(meta.e_tag.as_deref(), None);
        let version = version.ok_or_else(|| RemoteFailure::Unsupported {
            url: path.to_owned(),
            reason: "the store gives it no `ETag`, so that nobody could tell if it changes; \
                     download it first"
                .to_owned(),
        })?;
        Ok(DataFile {
            split: split.to_owned(),
            path: path.to_owned(),
            member: None,
            bytes: meta.size,
            digest: version.to_string(),
        })
    }

    fn open(&self, file: &DataFile) -> Result<SharedContent, Error> {
        let object = StoredObject {
            store: Arc::clone(&self.store),
            path: self.key(&file.path)?,
            url: file.path.clone(),
            num_bytes: file.bytes,
            version: super::web::pinned_version(file)?,
        };
        let file = PinnedFile {
            source: Arc::new(object),
            name: file.path.clone(),
            num_bytes: file.bytes,
            version: file.digest.clone(),
        };
        Ok(remote(file, &self.kept))
    }
}
