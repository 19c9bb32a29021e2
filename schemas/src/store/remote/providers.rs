//! Every kind of object store, and what opens a bucket of any of them.
//!
//! This is the one place that turns the URL of a bucket into a client, for tables, models and
//! datasets alike. A new kind is one file beside this one and a row in [`PROVIDERS`].

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;
use url::Url;

use super::super::StoreError;
use super::provider::{BucketUrl, Client, Provider};
use super::{azure, gcs, s3};

/// Every kind, S3 first because most others imitate it.
const PROVIDERS: [&Provider; 3] = [&s3::S3, &gcs::GCS, &azure::AZURE];

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

/// Makes the error that there are no credentials for what `url` names in a bucket. For a failure of
/// which [`super::lacks_credentials`] holds.
pub fn no_credentials(url: &str) -> StoreError {
    let provider = provider(url);
    StoreError::NoCredentials {
        url: url.split('?').next().unwrap_or(url).to_owned(),
        variables: provider.map_or("its credentials", |provider| provider.credentials),
    }
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
