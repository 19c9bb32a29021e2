//! What every kind of object store has: URLs, credentials, and a client for a bucket.

use std::sync::Arc;
use std::time::Duration;

use object_store::{BackoffConfig, ObjectStore, RetryConfig};
use url::Url;

use super::super::StoreError;

/// A kind of object store.
#[derive(Debug)]
pub(super) struct Provider {
    /// The schemes of its URLs.
    pub(super) schemes: &'static [&'static str],
    /// What to set if there are no credentials.
    pub(super) credentials: &'static str,
    /// What to do if there are no credentials, or not the right ones, to read a bucket.
    pub(super) to_read: &'static str,
    /// Makes a client of a bucket.
    pub(super) connect: fn(&BucketUrl<'_>) -> Result<Client, StoreError>,
}

/// A client of one bucket.
pub(super) struct Client {
    pub(super) objects: Arc<dyn ObjectStore>,
    /// Where its credentials come from, in words and without secrets.
    pub(super) credentials: &'static str,
}

/// The URL of a bucket, or of a folder in one.
pub(super) struct BucketUrl<'a>(pub(super) &'a Url);

impl BucketUrl<'_> {
    /// Returns the part before the first slash. Fails if it is empty.
    pub(super) fn host(&self) -> Result<&str, StoreError> {
        let host = self.0.host_str().filter(|host| !host.is_empty());
        host.ok_or_else(|| self.refuse("it names no bucket"))
    }

    /// Returns the settings at the end. Secrets are refused, because URLs are logged and sent to
    /// workers; they come from `variables`.
    pub(super) fn settings(
        &self,
        allowed: &[&str],
        variables: &str,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let pairs = self.0.query_pairs();
        let settings: Vec<_> = pairs
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        match settings
            .iter()
            .find(|(name, _)| !allowed.contains(&name.as_str()))
        {
            Some((name, _)) => Err(self.refuse(format!(
                "`{name}` cannot be set here, only {}; credentials come from the `{variables}` \
                 variables",
                allowed.join(", ")
            ))),
            None => Ok(settings),
        }
    }

    /// Makes the error that this URL cannot be used.
    pub(super) fn refuse(&self, reason: impl Into<String>) -> StoreError {
        StoreError::Url {
            url: self.0.to_string(),
            reason: reason.into(),
        }
    }

    /// Makes the error that no client can be set up, although the URL is right.
    pub(super) fn no_client(&self, error: &object_store::Error) -> StoreError {
        StoreError::Client {
            url: self.0.to_string(),
            reason: error.to_string(),
        }
    }
}

/// Returns the client's retry settings. They only bridge short outages: the caller decides whether
/// to keep trying.
pub(super) fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: 6,
        retry_timeout: Duration::from_mins(1),
    }
}
