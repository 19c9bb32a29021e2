//! The interface of a store of objects, and its errors.
//!
//! [`SlotStore::create`] is the only operation that decides anything: of all who try to create an
//! object, exactly one succeeds. Nothing here can overwrite an object, and no caller needs to.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::ErrorKind;

/// The result of trying to create an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The object was created and is durable, with the given bytes.
    Now,
    /// An object already existed: somebody else's, or this one from an earlier try.
    Already,
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Name of the object, relative to the root.
    pub key: String,
    /// Length of the object in bytes.
    pub bytes: u64,
}

/// A store of objects that are created once and never change.
#[async_trait]
pub trait SlotStore: std::fmt::Debug + Send + Sync {
    /// Creates the object `key` unless it exists. The object is durable once this returns
    /// [`Created::Now`].
    ///
    /// After an error the object may or may not exist. The caller must try again or check.
    async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, StoreError>;

    /// Returns an object's bytes, or `None` if it does not exist.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError>;

    /// Returns part of an object's bytes. Fails if the object does not exist.
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError>;

    /// Returns the name and length of the object `key`, or `None` if it does not exist.
    async fn head(&self, key: &str) -> Result<Option<Listed>, StoreError>;

    /// Returns every object below the folder `prefix`, sorted by key.
    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError>;

    /// Returns the URL the store was opened from.
    fn url(&self) -> &str;

    /// Returns where the store's credentials come from, in words and without secrets. `None` if it
    /// needs none.
    fn credentials(&self) -> Option<&str> {
        None
    }
}

/// The forms of URLs that are served, for messages.
pub const URL_FORMS: &str = "a directory, `file:///…`, `s3://bucket/prefix`, `gs://bucket/prefix` or \
                             `az://container/prefix`";

/// Why a store could not do what was requested.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The URL does not name a supported store.
    #[error("`{url}` is not a store: {reason}; use {forms}", forms = URL_FORMS)]
    Url {
        /// The URL that was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No client of the store can be set up: a setting or a file of credentials is wrong.
    #[error("cannot set up a client of `{url}`: {reason}")]
    Client {
        /// The URL that was given.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The store did not answer, or refused the request.
    #[error("store `{url}`: {action} `{key}`")]
    Unavailable {
        /// The store.
        url: String,
        /// What was attempted, as a verb.
        action: &'static str,
        /// The object.
        key: String,
        /// The error of the file system or of the store's client.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store cannot take the object, and waiting does not help: its disk is full, or it may not be
    /// written.
    #[error("store `{url}` refuses to {action} `{key}`")]
    Refused {
        /// The store.
        url: String,
        /// What was attempted, as a verb.
        action: &'static str,
        /// The object.
        key: String,
        /// The error of the file system.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No credentials were given, and this machine has none of its own.
    #[error("no credentials for {url}; set {variables}")]
    NoCredentials {
        /// URL of the bucket and folder, without settings.
        url: String,
        /// The variables that give some.
        variables: &'static str,
    },
    /// The store does not honor put-if-absent, so tables in it could be wrong.
    #[error("store `{url}` is unsafe: {finding}; it cannot hold whence's tables")]
    Unsafe {
        /// The store.
        url: String,
        /// What the probe found.
        finding: String,
    },
    /// An object is damaged.
    #[error("store `{url}`: object `{key}` is damaged: {reason}; remove it and run the job again")]
    Damaged {
        /// The store.
        url: String,
        /// The object.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl StoreError {
    /// Returns the kind of the error, which says what can be done about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Url { .. }
            | Self::Client { .. }
            | Self::Refused { .. }
            | Self::NoCredentials { .. }
            | Self::Unsafe { .. } => ErrorKind::Invalid,
            Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::Damaged { .. } => ErrorKind::Data,
        }
    }
}
