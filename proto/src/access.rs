//! How a client reaches a coordinator and proves who it is: a token, a certificate, both, or neither.
//!
//! What must stay true: a token never leaves this machine unencrypted, and never appears in a message.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};
use whence_telemetry::propagation;

/// Header of a call that holds the token.
pub const HEADER: &str = "authorization";
/// What comes before the token in the header.
pub const SCHEME: &str = "Bearer ";
/// Environment variable that may hold the token itself.
const TOKEN: &str = "WHENCE_TOKEN";

/// A connection to a coordinator, over which each call carries the token.
pub type Connection = InterceptedService<Channel, Credentials>;

/// Flags that say how a coordinator is reached.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Access to the coordinator")]
pub struct AccessOptions {
    /// File with the token that the coordinator asks for. `WHENCE_TOKEN` may hold the token itself.
    #[arg(long, env = "WHENCE_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Certificates (PEM) that sign the coordinator's, if the system does not know them.
    #[arg(long, env = "WHENCE_TLS_CA", value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// Certificate (PEM) of this client, if the coordinator asks for one.
    #[arg(
        long,
        env = "WHENCE_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM) of --tls-cert.
    #[arg(
        long,
        env = "WHENCE_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub tls_key: Option<PathBuf>,
}

/// Why a coordinator cannot be reached as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A file that cannot be read.
    #[error("`{path}` cannot be read: {source}")]
    File {
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A token with characters that a header cannot hold.
    #[error("the token has characters that cannot be sent; copy it again from `whence token`")]
    Token,
    /// A token that would be sent unencrypted.
    #[error(
        "the token would be sent to `{host}` unencrypted; reach the coordinator as `https://…`, or \
         unset WHENCE_TOKEN and --token-file"
    )]
    Plaintext {
        /// Where it would be sent.
        host: String,
    },
    /// Certificates that cannot be used.
    #[error("the certificates cannot be used: {0}")]
    Tls(String),
}

/// What a client sends along with each call: its token, and the trace that the call belongs to.
#[derive(Clone, Default)]
pub struct Credentials(Option<MetadataValue<Ascii>>);

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "a token"
        } else {
            "no token"
        })
    }
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert(HEADER, token.clone());
        }
        propagation::inject(request.metadata_mut());
        Ok(request)
    }
}

impl AccessOptions {
    /// Returns `endpoint` with the certificates, and what goes along with each call.
    ///
    /// Fails if a file cannot be read, the certificates cannot be used, or a token would be sent
    /// unencrypted to another machine.
    pub fn apply(&self, endpoint: Endpoint) -> Result<(Endpoint, Credentials), AccessError> {
        let token = self.token()?;
        if endpoint.uri().scheme_str() == Some("https") {
            let tls = self.tls()?;
            let endpoint = endpoint.tls_config(tls);
            let endpoint = endpoint.map_err(|error| AccessError::Tls(error.to_string()))?;
            return Ok((endpoint, credentials(token)?));
        }
        let host = endpoint.uri().host().unwrap_or_default();
        if token.is_some() && !is_loopback(host) {
            let host = host.to_owned();
            return Err(AccessError::Plaintext { host });
        }
        Ok((endpoint, credentials(token)?))
    }

    fn token(&self) -> Result<Option<String>, AccessError> {
        let token = match &self.token_file {
            Some(path) => Some(read(path)?),
            None => std::env::var(TOKEN).ok(),
        };
        let token = token.map(|token| token.trim().to_owned());
        Ok(token.filter(|token| !token.is_empty()))
    }

    fn tls(&self) -> Result<ClientTlsConfig, AccessError> {
        let mut tls = ClientTlsConfig::new();
        tls = match &self.tls_ca {
            Some(path) => tls.ca_certificate(Certificate::from_pem(read(path)?)),
            None => tls.with_native_roots(),
        };
        if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
            tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        Ok(tls)
    }
}

/// Returns a connection over `channel` whose calls carry `credentials`.
pub fn connection(channel: Channel, credentials: Credentials) -> Connection {
    InterceptedService::new(channel, credentials)
}

fn credentials(token: Option<String>) -> Result<Credentials, AccessError> {
    let Some(token) = token else {
        return Ok(Credentials(None));
    };
    let mut value: MetadataValue<Ascii> = format!("{SCHEME}{token}")
        .parse()
        .map_err(|_| AccessError::Token)?;
    // Keeps it out of what libraries print.
    value.set_sensitive(true);
    Ok(Credentials(Some(value)))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let parsed = address.parse::<std::net::IpAddr>();
    // A socket in the file system has no host.
    host.is_empty() || host == "localhost" || parsed.is_ok_and(|address| address.is_loopback())
}

fn read(path: &PathBuf) -> Result<String, AccessError> {
    std::fs::read_to_string(path).map_err(|source| AccessError::File {
        path: path.display().to_string(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns options with a token in a file, which lives as long as the returned folder.
    fn with_token(token: &str) -> (tempfile::TempDir, AccessOptions) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, token).unwrap();
        let options = AccessOptions {
            token_file: Some(file),
            ..AccessOptions::default()
        };
        (folder, options)
    }

    #[test]
    fn a_token_is_sent_only_where_nobody_listens() {
        let (_folder, options) = with_token("secret\n");
        let apply = |url: &'static str| options.apply(Endpoint::from_static(url));
        for safe in [
            "http://127.0.0.1:1",
            "http://localhost:1",
            "http://[::1]:1",
            "https://h:1",
        ] {
            let (_, mut credentials) = apply(safe).unwrap();
            let request = credentials.call(Request::new(())).unwrap();
            assert_eq!(request.metadata().get(HEADER).unwrap(), "Bearer secret");
            assert!(!format!("{credentials:?} {request:?}").contains("secret"));
        }
        for other in [
            "http://10.0.0.1:1",
            "http://coordinator:1",
            "http://localhost.evil:1",
        ] {
            let refused = apply(other).unwrap_err().to_string();
            assert!(
                refused.contains("unencrypted") && !refused.contains("secret"),
                "{refused}"
            );
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let (folder, options) = with_token("two\nlines");
        let endpoint = || Endpoint::from_static("https://h:1");
        assert!(matches!(options.apply(endpoint()), Err(AccessError::Token)));
        let missing = AccessOptions {
            tls_ca: Some(folder.path().join("ca.pem")),
            ..AccessOptions::default()
        };
        let refused = missing.apply(endpoint()).unwrap_err().to_string();
        assert!(refused.contains("ca.pem"), "{refused}");
    }
}
