//! What a store of objects must answer, and how it fails.
//!
//! [`SlotStore::create`] is the one decision of the whole system: of everybody who tries to create
//! an object, exactly one succeeds. Nothing here can overwrite, and nothing above here needs to.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::ErrorKind;

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
    /// Nobody said as whom to use the store, and this machine is nobody by itself.
    #[error("no credentials for {url}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")]
    NoCredentials {
        /// The bucket and the folder in it.
        url: String,
    },
    /// The store does not honor put-if-absent, so its results could be wrong.
    #[error("store `{url}` is unsafe: {finding}; it cannot hold whence's tables")]
    Unsafe {
        /// The store.
        url: String,
        /// What the probe saw.
        finding: String,
    },
    /// An object's bytes are not what they must be.
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
    /// Returns what can be done about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Url { .. } | Self::NoCredentials { .. } | Self::Unsafe { .. } => {
                ErrorKind::Invalid
            }
            Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::Damaged { .. } => ErrorKind::Data,
        }
    }
}
