//! Azure Blob Storage: `az://container/prefix`, with the account from the environment, and
//! `abfss://container@account.dfs.core.windows.net/prefix`, which other programs use.
//!
//! `PutMode::Create` sends `If-None-Match: *`. Both forms are read and written through the Blob
//! interface, also in an account with a hierarchical namespace. In such an account an object and a
//! folder cannot have the same name, as in a directory; no key of ours is a folder of another.

use std::sync::Arc;

use object_store::ClientConfigKey;
use object_store::azure::{AzureConfigKey as Key, MicrosoftAzureBuilder};

use super::super::StoreError;
use super::endpoint::{check_http, check_token};
use super::machine::{OfMachine, address};
use super::provider::{BucketUrl, Client, Provider, retries};

pub(super) const AZURE: Provider = Provider {
    schemes: &["az", "abfss"],
    credentials: "AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN, or AZURE_TENANT_ID, \
                  AZURE_CLIENT_ID and AZURE_CLIENT_SECRET",
    to_read: "set AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN, or AZURE_TENANT_ID, \
              AZURE_CLIENT_ID and AZURE_CLIENT_SECRET to credentials that may read it; for a public \
              container, set AZURE_SKIP_SIGNATURE=true",
    connect,
};

/// Where machines in Azure get tokens of their managed identity.
const METADATA_ENDPOINT: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

fn connect(url: &BucketUrl<'_>) -> Result<Client, StoreError> {
    let mut builder = MicrosoftAzureBuilder::from_env().with_retry(retries());
    let settings = url.settings(
        &["account", "endpoint", "skip_signature", "use_emulator"],
        "AZURE_…",
    )?;
    for (name, value) in settings.clone() {
        let key = match name.as_str() {
            "account" => Key::AccountName,
            "endpoint" => Key::Endpoint,
            "skip_signature" => Key::SkipSignature,
            _ => Key::UseEmulator,
        };
        builder = builder.with_config(key, value);
    }
    builder = with_container(url, builder)?;
    let is_on = |key: Key| {
        builder
            .get_config_value(&key)
            .is_some_and(|on| on == "true")
    };
    if builder.get_config_value(&Key::AccountName).is_none() && !is_on(Key::UseEmulator) {
        return Err(url.refuse(
            "it names no account; set AZURE_STORAGE_ACCOUNT_NAME, or add `?account=NAME`",
        ));
    }
    check_token(
        url,
        &settings,
        !is_on(Key::SkipSignature),
        "AZURE_STORAGE_ENDPOINT",
    )?;
    let is_allowed = is_on(Key::Client(ClientConfigKey::AllowHttp));
    let endpoint = builder.get_config_value(&Key::Endpoint);
    let allows_http = check_http(url, endpoint.as_deref(), is_allowed, "AZURE_ALLOW_HTTP")?;
    connect_as(url, builder.with_allow_http(allows_http))
}

/// Sets the container, and the account if the URL is of the form that names it.
fn with_container(
    url: &BucketUrl<'_>,
    builder: MicrosoftAzureBuilder,
) -> Result<MicrosoftAzureBuilder, StoreError> {
    let (host, container) = (url.host()?, url.0.username());
    if url.0.scheme() == "az" {
        if !container.is_empty() {
            return Err(url.refuse("write it as `az://container/prefix?account=NAME`"));
        }
        return Ok(builder.with_container_name(host));
    }
    let account = host.split_once('.').filter(|(account, service)| {
        let services = ["dfs.core.windows.net", "blob.core.windows.net"];
        !account.is_empty() && services.contains(service)
    });
    match account {
        Some((account, _)) if !container.is_empty() => {
            Ok(builder.with_account(account).with_container_name(container))
        }
        _ => Err(url.refuse("write it as `abfss://container@account.dfs.core.windows.net/prefix`")),
    }
}

/// Adds the credentials and makes the client.
fn connect_as(url: &BucketUrl<'_>, builder: MicrosoftAzureBuilder) -> Result<Client, StoreError> {
    let built =
        |builder: MicrosoftAzureBuilder| builder.build().map_err(|error| url.no_client(&error));
    let (objects, credentials) = if let Some(credentials) = given(&builder) {
        (built(builder)?, credentials)
    } else {
        let server = builder.get_config_value(&Key::MsiEndpoint);
        let server = address(server.as_deref().unwrap_or(METADATA_ENDPOINT));
        let of_machine = Arc::clone(built(builder.clone())?.credentials());
        let of_machine = OfMachine::new(of_machine, vec![server]);
        let objects = built(builder.with_credentials(of_machine))?;
        (objects, "the managed identity of this machine")
    };
    Ok(Client {
        objects: Arc::new(objects),
        credentials,
    })
}

/// Returns which credentials were given, in the order in which the client prefers them.
fn given(builder: &MicrosoftAzureBuilder) -> Option<&'static str> {
    let has = |key: Key| builder.get_config_value(&key).is_some();
    let is_on = |key: Key| {
        builder
            .get_config_value(&key)
            .is_some_and(|on| on == "true")
    };
    if is_on(Key::SkipSignature) {
        return Some("none; requests are not signed");
    }
    if is_on(Key::UseEmulator) {
        return Some("those of the emulator");
    }
    let is_fabric = [
        Key::FabricTokenServiceUrl,
        Key::FabricWorkloadHost,
        Key::FabricSessionToken,
        Key::FabricClusterIdentifier,
    ];
    if is_fabric.into_iter().all(has) {
        return Some("the session of Fabric");
    }
    if has(Key::Token) {
        return Some("AZURE_STORAGE_TOKEN");
    }
    if has(Key::AccessKey) {
        return Some("AZURE_STORAGE_ACCOUNT_KEY");
    }
    if has(Key::ClientId) && has(Key::AuthorityId) {
        if has(Key::FederatedTokenFile) {
            return Some("AZURE_FEDERATED_TOKEN_FILE");
        }
        if has(Key::ClientSecret) {
            return Some("AZURE_CLIENT_SECRET");
        }
    }
    if has(Key::SasKey) {
        return Some("AZURE_STORAGE_SAS_TOKEN");
    }
    is_on(Key::UseAzureCli).then_some("the login of `az login`")
}
