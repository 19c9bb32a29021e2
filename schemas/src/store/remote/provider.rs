//! The kinds of object stores: how their URLs look, and what opens one of their buckets.
//!
//! This is the one place that turns the URL of a bucket into a client, for tables, models and
//! datasets alike. A new kind is one file beside this one and a row in [`PROVIDERS`].

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;
use url::Url;

use super::super::StoreError;
use super::{azure, gcs, s3};

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

/// Every kind, S3 first because most others imitate it.
const PROVIDERS: [&Provider; 3] = [&s3::S3, &gcs::GCS, &azure::AZURE];

/// A client of one bucket.
pub(super) struct Client {
    pub(super) objects: Arc<dyn ObjectStore>,
    /// Where its credentials come from, in words and without secrets.
    pub(super) credentials: &'static str,
}

/// A bucket, and the folder in it that a URL names.
pub(in super::super) struct Bucket {
    pub(in super::super) objects: Arc<dyn ObjectStore>,
    pub(super) root: Path,
    pub(super) credentials: &'static str,
}

/// Returns whether `url` names something in a bucket.
pub fn is_bucket(url: &str) -> bool {
    provider(url).is_some()
}

/// Returns what to do if the credentials for the bucket at `url` do not allow reading it.
pub fn credentials_to_read(url: &str) -> &'static str {
    provider(url).map_or("check the credentials", |provider| provider.to_read)
}

/// Returns what to set to have credentials for the bucket at `url`.
pub(in super::super) fn credentials_of(url: &str) -> &'static str {
    provider(url).map_or("its credentials", |provider| provider.credentials)
}

fn provider(url: &str) -> Option<&'static Provider> {
    let (scheme, _) = url.split_once("://")?;
    PROVIDERS
        .into_iter()
        .find(|provider| provider.schemes.contains(&scheme))
}

/// Returns a client for the bucket that `url` names. Settings such as `?endpoint=…` override the
/// environment's.
///
/// Fails if no provider has such URLs, and if the client cannot be set up. Sends nothing.
pub(in super::super) fn bucket(url: &Url) -> Result<Bucket, StoreError> {
    let refuse = |reason: String| StoreError::Url {
        url: url.to_string(),
        reason,
    };
    let provider = provider(url.as_str());
    let provider = provider.ok_or_else(|| refuse("its scheme is not served".to_owned()))?;
    if url.password().is_some() {
        return Err(refuse(
            "a URL is logged, and may not have a password".to_owned(),
        ));
    }
    let root = Path::from_url_path(url.path()).map_err(|error| refuse(error.to_string()))?;
    let Client {
        objects,
        credentials,
    } = (provider.connect)(&BucketUrl(url))?;
    Ok(Bucket {
        objects,
        root,
        credentials,
    })
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
