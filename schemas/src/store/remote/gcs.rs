//! Google Cloud Storage, by its XML interface: `gs://bucket/prefix`.
//!
//! `PutMode::Create` sends `x-goog-if-generation-match: 0`, which is refused if any generation of
//! the object is live.

use std::sync::Arc;

use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder, GoogleConfigKey as Key};
use object_store::{ClientConfigKey, StaticCredentialProvider};

use super::super::StoreError;
use super::endpoint::{check_http, check_token};
use super::machine::{OfMachine, address};
use super::provider::{BucketUrl, Client, Provider, retries};

pub(super) const GCS: Provider = Provider {
    schemes: &["gs"],
    credentials: "GOOGLE_APPLICATION_CREDENTIALS to the file of a service account's key, or log in \
                  with `gcloud auth application-default login`",
    to_read: "set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account's key that may \
              read it; for a public bucket, set GOOGLE_SKIP_SIGNATURE=true",
    connect,
};

/// Variables that replace the name of the metadata server, as in Google's own clients.
const METADATA_HOSTS: [&str; 2] = ["GCE_METADATA_HOST", "GCE_METADATA_ROOT"];

fn connect(url: &BucketUrl<'_>) -> Result<Client, StoreError> {
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(url.host()?)
        .with_retry(retries());
    let settings = url.settings(&["endpoint", "skip_signature"], "GOOGLE_…")?;
    for (name, value) in settings.clone() {
        let key = if name == "endpoint" {
            Key::BaseUrl
        } else {
            Key::SkipSignature
        };
        builder = builder.with_config(key, value);
    }
    let is_signed = builder
        .get_config_value(&Key::SkipSignature)
        .is_none_or(|skip| skip != "true");
    check_token(url, &settings, is_signed, "GOOGLE_BASE_URL")?;
    // The client's own default is to allow plain HTTP, so that the builder cannot be asked.
    let is_allowed = std::env::var("GOOGLE_ALLOW_HTTP").is_ok_and(|allow| allow == "true");
    let endpoint = builder.get_config_value(&Key::BaseUrl);
    let allows_http = check_http(url, endpoint.as_deref(), is_allowed, "GOOGLE_ALLOW_HTTP")?;
    let allow_http = Key::Client(ClientConfigKey::AllowHttp);
    builder = builder.with_config(allow_http, allows_http.to_string());
    connect_as(url, builder, is_signed)
}

/// Adds the credentials and makes the client.
fn connect_as(
    url: &BucketUrl<'_>,
    builder: GoogleCloudStorageBuilder,
    is_signed: bool,
) -> Result<Client, StoreError> {
    let built =
        |builder: GoogleCloudStorageBuilder| builder.build().map_err(|error| url.no_client(&error));
    let (objects, credentials) = if !is_signed {
        // Puts ask for credentials even so, and would wait for the metadata server.
        let none = StaticCredentialProvider::new(GcpCredential {
            bearer: String::new(),
        });
        let objects = built(builder.with_credentials(Arc::new(none)))?;
        (objects, "none; requests are not signed")
    } else if let Some(credentials) = given(&builder) {
        (built(builder)?, credentials)
    } else {
        let of_machine = Arc::clone(built(builder.clone())?.credentials());
        let of_machine = OfMachine::new(of_machine, metadata_servers());
        let objects = built(builder.with_credentials(of_machine))?;
        (objects, "the service account of this machine")
    };
    Ok(Client {
        objects: Arc::new(objects),
        credentials,
    })
}

/// Returns which credentials were given, in the order in which the client prefers them.
fn given(builder: &GoogleCloudStorageBuilder) -> Option<&'static str> {
    let has = |key: Key| builder.get_config_value(&key).is_some();
    if has(Key::ServiceAccount) {
        return Some("GOOGLE_SERVICE_ACCOUNT");
    }
    if has(Key::ServiceAccountKey) {
        return Some("GOOGLE_SERVICE_ACCOUNT_KEY");
    }
    if has(Key::ApplicationCredentials) {
        return Some("GOOGLE_APPLICATION_CREDENTIALS");
    }
    let home = std::env::var_os("HOME")?;
    let login =
        std::path::Path::new(&home).join(".config/gcloud/application_default_credentials.json");
    login
        .exists()
        .then_some("the login of `gcloud auth application-default login`")
}

/// Returns the addresses at which the client looks for the metadata server.
fn metadata_servers() -> Vec<String> {
    let host = METADATA_HOSTS
        .iter()
        .find_map(|name| std::env::var(name).ok());
    let host = host.unwrap_or_else(|| "metadata.google.internal".to_owned());
    let ip = std::env::var("GCE_METADATA_IP");
    let ip = ip.unwrap_or_else(|_| "169.254.169.254".to_owned());
    vec![address(&host), address(&ip)]
}
