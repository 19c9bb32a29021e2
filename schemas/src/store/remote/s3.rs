//! Amazon S3 and the stores that speak its protocol: `s3://bucket/prefix`.

use std::sync::Arc;

use object_store::ClientConfigKey;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Key, S3ConditionalPut};

use super::super::StoreError;
use super::endpoint::check_http;
use super::machine::{OfMachine, address};
use super::provider::{BucketUrl, Client, Provider, retries};

pub(super) const S3: Provider = Provider {
    schemes: &["s3"],
    credentials: "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    to_read: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to credentials that may read it; for \
              a public bucket, set AWS_SKIP_SIGNATURE=true",
    connect,
};

/// Address of the metadata server on AWS machines.
const METADATA_ENDPOINT: &str = "http://169.254.169.254";

fn connect(url: &BucketUrl<'_>) -> Result<Client, StoreError> {
    // `ETagMatch` makes `PutMode::Create` send `If-None-Match: *`, the condition that commits rely
    // on.
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(url.host()?)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(retries());
    let allowed = [
        "endpoint",
        "region",
        "skip_signature",
        "virtual_hosted_style_request",
    ];
    for (name, value) in url.settings(&allowed, "AWS_…")? {
        let key: Key = format!("aws_{name}")
            .parse()
            .map_err(|error| url.no_client(&error))?;
        if key == Key::Endpoint {
            // The client prefers this one, which the environment may have set.
            builder = builder.with_config(Key::S3Endpoint, value.clone());
        }
        builder = builder.with_config(key, value);
    }
    let get = |key: Key| builder.get_config_value(&key);
    let endpoint = get(Key::S3Endpoint).or_else(|| get(Key::Endpoint));
    let is_allowed = get(Key::Client(ClientConfigKey::AllowHttp)).is_some_and(|on| on == "true");
    let allows_http = check_http(url, endpoint.as_deref(), is_allowed, "AWS_ALLOW_HTTP")?;
    connect_as(url, builder.with_allow_http(allows_http))
}

/// Adds the credentials and makes the client.
fn connect_as(url: &BucketUrl<'_>, builder: AmazonS3Builder) -> Result<Client, StoreError> {
    let built = |builder: AmazonS3Builder| builder.build().map_err(|error| url.no_client(&error));
    let (objects, credentials) = if let Some(credentials) = given(&builder) {
        (built(builder)?, credentials)
    } else {
        let server = builder.get_config_value(&Key::MetadataEndpoint);
        let server = address(server.as_deref().unwrap_or(METADATA_ENDPOINT));
        let of_machine = Arc::clone(built(builder.clone())?.credentials());
        let of_machine = OfMachine::new(of_machine, vec![server]);
        let objects = built(builder.with_credentials(of_machine))?;
        (objects, "the role of this machine")
    };
    Ok(Client {
        objects: Arc::new(objects),
        credentials,
    })
}

/// Returns which credentials were given, in the order in which the client prefers them.
fn given(builder: &AmazonS3Builder) -> Option<&'static str> {
    let has = |key: Key| builder.get_config_value(&key).is_some();
    if builder
        .get_config_value(&Key::SkipSignature)
        .is_some_and(|skip| skip == "true")
    {
        return Some("none; requests are not signed");
    }
    if has(Key::AccessKeyId) || has(Key::SecretAccessKey) {
        return Some("AWS_ACCESS_KEY_ID");
    }
    if has(Key::WebIdentityTokenFile) && has(Key::RoleArn) {
        return Some("AWS_WEB_IDENTITY_TOKEN_FILE");
    }
    let has_full =
        has(Key::ContainerCredentialsFullUri) && has(Key::ContainerAuthorizationTokenFile);
    (has_full || has(Key::ContainerCredentialsRelativeUri)).then_some("the role of this container")
}
