//! Objects in an object store, of the version that was pinned.
//!
//! The client of the store waits for one that does not answer, and goes on where a connection broke.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, ObjectStore};
use whence_schemas::chain;
use whence_schemas::store::{credentials_to_read, lacks_credentials};

use super::failure::RemoteFailure;
use super::remote::RangeSource;
use super::version::Version;

/// An object in a store.
#[derive(Debug)]
pub(crate) struct StoredObject {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) path: Path,
    /// Its address, for messages.
    pub(crate) url: String,
    /// What the job was submitted with.
    pub(crate) num_bytes: u64,
    pub(crate) version: Version,
}

impl StoredObject {
    async fn get(&self, range: Range<u64>) -> Result<Bytes, RemoteFailure> {
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            if_match: self.version.if_match().map(str::to_owned),
            ..GetOptions::default()
        };
        let explain = |error: Error| match error {
            Error::Precondition { .. } => self.changed("another version".to_owned()),
            error => explain_store(error, &self.url),
        };
        let answer = self.store.get_opts(&self.path, options).await;
        let answer = answer.map_err(explain)?;
        // Some stores ignore the condition.
        let found = Version::from_headers(answer.meta.e_tag.as_deref(), None);
        if found.as_ref() != Some(&self.version) || answer.meta.size != self.num_bytes {
            let found = found.map_or("without `ETag`".to_owned(), |found| found.to_string());
            return Err(self.changed(format!("{found}, of length {}", answer.meta.size)));
        }
        answer.bytes().await.map_err(explain)
    }

    fn changed(&self, found: String) -> RemoteFailure {
        RemoteFailure::Changed {
            url: self.url.clone(),
            pinned: format!("{}, of length {}", self.version, self.num_bytes),
            found,
        }
    }
}

#[async_trait]
impl RangeSource for StoredObject {
    async fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        Ok(self.get(range).await?)
    }
}

/// Returns what an error of a store means for the object or folder at `url`.
pub(crate) fn explain_store(error: Error, url: &str) -> RemoteFailure {
    let credentials = credentials_to_read(url);
    let url = url.to_owned();
    if lacks_credentials(&error) {
        return RemoteFailure::Denied {
            url,
            reason: "no credentials were given".to_owned(),
            next_step: credentials,
        };
    }
    match error {
        Error::NotFound { .. } => RemoteFailure::Missing { url },
        Error::PermissionDenied { .. } => RemoteFailure::Denied {
            url,
            reason: "the credentials do not allow it".to_owned(),
            next_step: credentials,
        },
        Error::Unauthenticated { .. } => RemoteFailure::Denied {
            url,
            reason: "the store does not accept the credentials".to_owned(),
            next_step: credentials,
        },
        error => RemoteFailure::Unavailable {
            url,
            reason: chain(&error),
            retry_after: None,
        },
    }
}
