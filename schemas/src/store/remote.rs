//! Objects in a bucket, reached through `object_store` and created with a condition.
//!
//! If the answer to a create is lost, the underlying client repeats the request and then finds its
//! own object in the way. [`Created::Already`] therefore means "an object exists", not "somebody
//! else's object exists". A caller that needs to know whose it is reads the object.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::path::Path;
use object_store::{
    BackoffConfig, Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, RetryConfig,
};
use url::Url;

use super::{Created, Listed, SlotStore, StoreError};

/// A folder of a bucket, whose objects are the store's.
#[derive(Debug)]
pub struct RemoteSlotStore {
    objects: Arc<dyn ObjectStore>,
    root: Path,
    url: String,
    /// Address that is asked for credentials if none were given, because machines in a cloud have
    /// some there. `None` if credentials were given.
    metadata_endpoint: Option<String>,
}

/// Address of the instance metadata service on AWS machines.
const METADATA_ENDPOINT: &str = "http://169.254.169.254";

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
            metadata_endpoint: None,
        }
    }

    /// Opens `s3://bucket/prefix`.
    pub(super) fn open_s3(url: &Url) -> Result<Self, StoreError> {
        let Bucket {
            objects,
            root,
            metadata_endpoint,
        } = bucket(url)?;
        Ok(Self {
            metadata_endpoint,
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
        let metadata_endpoint = self.metadata_endpoint.as_deref();
        // A failure to reach the metadata service means that no credentials were found anywhere,
        // which is what the user must hear.
        if metadata_endpoint.is_some_and(|endpoint| source.to_string().contains(endpoint)) {
            let bucket = self.url.split('?').next().unwrap_or(&self.url);
            return StoreError::NoCredentials {
                url: bucket.to_owned(),
            };
        }
        StoreError::Unavailable {
            url: self.url.clone(),
            action,
            key: key.to_owned(),
            source: Box::new(source),
        }
    }
}

/// A bucket, and the folder in it that a URL names.
pub(super) struct Bucket {
    pub(super) objects: Arc<dyn ObjectStore>,
    root: Path,
    metadata_endpoint: Option<String>,
}

/// Returns a client for the bucket of `s3://bucket/prefix`. Settings such as `?endpoint=…` override
/// the environment's.
pub(super) fn bucket(url: &Url) -> Result<Bucket, StoreError> {
    let refuse = |reason: String| StoreError::Url {
        url: url.to_string(),
        reason,
    };
    let bucket = url
        .host_str()
        .filter(|bucket| !bucket.is_empty())
        .ok_or_else(|| refuse("it names no bucket".to_owned()))?;
    let root = Path::from_url_path(url.path()).map_err(|error| refuse(error.to_string()))?;
    // `ETagMatch` makes `PutMode::Create` send `If-None-Match: *`, the condition that commits rely
    // on.
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(retries());
    for (name, value) in url.query_pairs() {
        let key = setting(&name).map_err(&refuse)?;
        builder = builder.with_config(key, value);
    }
    let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
    if endpoint.is_some_and(|endpoint| is_loopback(&endpoint)) {
        builder = builder.with_allow_http(true);
    }
    let metadata_endpoint = metadata_endpoint(&builder);
    let objects = builder.build().map_err(|error| refuse(error.to_string()))?;
    Ok(Bucket {
        objects: Arc::new(objects),
        root,
        metadata_endpoint,
    })
}

/// Returns whether a request to a bucket failed because no credentials were given and this machine
/// has none of its own.
pub fn lacks_credentials(error: &Error) -> bool {
    let endpoint = std::env::var("AWS_METADATA_ENDPOINT");
    let endpoint = endpoint.unwrap_or_else(|_| METADATA_ENDPOINT.to_owned());
    error.to_string().contains(&endpoint)
}

/// Returns the address that `builder` will ask for credentials, or `None` if it was given some.
fn metadata_endpoint(builder: &AmazonS3Builder) -> Option<String> {
    let set = |key: AmazonS3ConfigKey| builder.get_config_value(&key);
    let is_given = set(AmazonS3ConfigKey::AccessKeyId).is_some()
        || set(AmazonS3ConfigKey::SkipSignature).is_some_and(|skip| skip == "true");
    let endpoint = set(AmazonS3ConfigKey::MetadataEndpoint);
    (!is_given).then(|| endpoint.unwrap_or_else(|| METADATA_ENDPOINT.to_owned()))
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
}

/// Returns the client's retry settings. They only bridge short outages: the caller decides whether
/// to keep trying.
fn retries() -> RetryConfig {
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

/// Returns the setting that a query parameter of a URL stands for. Secrets are refused, because
/// URLs are logged and sent to workers.
fn setting(name: &str) -> Result<AmazonS3ConfigKey, String> {
    let allowed = [
        "endpoint",
        "region",
        "skip_signature",
        "virtual_hosted_style_request",
    ];
    if !allowed.contains(&name) {
        return Err(format!(
            "`{name}` cannot be set here, only {}; credentials come from the `AWS_…` variables",
            allowed.join(", ")
        ));
    }
    format!("aws_{name}")
        .parse()
        .map_err(|error: Error| error.to_string())
}

/// Returns whether `endpoint` is on this machine. Only such a store may use plain HTTP; for any
/// other, `AWS_ALLOW_HTTP` must be set.
fn is_loopback(endpoint: &str) -> bool {
    let Ok(url) = Url::parse(endpoint) else {
        return false;
    };
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_not_carry_a_secret() {
        let url = Url::parse("s3://bucket/p?secret_access_key=x").unwrap();
        let error = RemoteSlotStore::open_s3(&url).unwrap_err().to_string();
        assert!(
            error.contains("`secret_access_key` cannot be set here"),
            "{error}"
        );
    }

    #[test]
    fn plain_http_is_for_this_machine() {
        assert!(is_loopback("http://127.0.0.1:9000"));
        assert!(is_loopback("http://localhost:9000"));
        assert!(is_loopback("http://[::1]:9000"));
        assert!(!is_loopback("http://store.example:9000"));
    }
}
