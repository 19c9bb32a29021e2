//! Flags of a coordinator that say who may call it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use super::places::Place;
use super::requirements::{Access, Admission, Visitors};
use super::tenancy::Tenancy;
use super::tokens::Tokens;
use crate::Error;

/// Who may call, over what, and what their jobs may name.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Access")]
pub struct AccessOptions {
    /// File of the tokens that callers must show, one line each, as `whence token` prints them.
    #[arg(long, env = "WHENCE_TOKENS", value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// Certificate (PEM) of the coordinator. Connections are then encrypted.
    #[arg(
        long,
        env = "WHENCE_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    tls_cert: Option<PathBuf>,
    /// Private key (PEM) of --tls-cert.
    #[arg(
        long,
        env = "WHENCE_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    tls_key: Option<PathBuf>,
    /// Certificates (PEM) that sign those of callers. Callers must then show one.
    #[arg(
        long,
        env = "WHENCE_TLS_CLIENT_CA",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    tls_client_ca: Option<PathBuf>,
    /// Folder or address below which the models and datasets of jobs must be: `/data`,
    /// `s3://bucket/prefix`, `gs://bucket`, `hf://`. May be given several times. Default: no bound.
    #[arg(
        long,
        env = "WHENCE_ALLOW",
        value_name = "PLACE",
        value_delimiter = ','
    )]
    allow: Vec<Place>,
    /// File of the teams that share the coordinator, one line each: a name, as in --tokens, and any of
    /// `weight=N` (part of the workers), `slots=N` (at a time), `rows=N` (of a job), `allow=PLACE`.
    #[arg(long, env = "WHENCE_TENANTS", value_name = "FILE")]
    tenants: Option<PathBuf>,
    /// Serve other machines without encryption, or without asking who they are.
    #[arg(long, env = "WHENCE_INSECURE")]
    insecure: bool,
}

impl AccessOptions {
    /// Returns the places that jobs may name.
    pub(crate) fn places(&self) -> Vec<Place> {
        self.allow.clone()
    }

    /// Reads the file of tenants. Fails if it cannot be used.
    pub(crate) fn tenancy(&self) -> Result<Tenancy, Error> {
        let Some(path) = &self.tenants else {
            return Ok(Tenancy::default());
        };
        let parsed = Tenancy::parse(&read("--tenants", path)?);
        parsed.map_err(|reason| refused("--tenants", path, reason))
    }

    /// Returns who may open the dashboard of a coordinator with these requirements.
    ///
    /// The dashboard answers over plain HTTP, so that without `--insecure` it is for browsers on this
    /// machine, at the end of a tunnel, or behind a proxy that encrypts.
    pub(crate) fn visitors(&self, access: &Access) -> Visitors {
        let admission = match &access.tokens {
            Some(tokens) => Admission::Holders(Arc::clone(tokens)),
            None if self.tls_client_ca.is_some() => Admission::Nobody,
            None => Admission::Everybody,
        };
        Visitors {
            admission,
            are_anywhere: self.insecure,
        }
    }

    /// Reads the files. Fails if one cannot be used, or if other machines could reach `address` without
    /// encryption or without showing who they are, unless that is asked for.
    pub(crate) fn load(&self, address: SocketAddr) -> Result<Access, Error> {
        let tokens = self.tokens.as_deref().map(|path| {
            let parsed = Tokens::parse(&read("--tokens", path)?);
            parsed.map_err(|reason| refused("--tokens", path, reason))
        });
        let tokens = tokens.transpose()?;
        let mut tls = None;
        if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
            let (cert, key) = (read("--tls-cert", cert)?, read("--tls-key", key)?);
            let mut config = ServerTlsConfig::new().identity(Identity::from_pem(cert, key));
            if let Some(path) = &self.tls_client_ca {
                let ca = Certificate::from_pem(read("--tls-client-ca", path)?);
                config = config.client_ca_root(ca);
            }
            tls = Some(config);
        }
        let asks = tokens.is_some() || self.tls_client_ca.is_some();
        if !address.ip().is_loopback() && !self.insecure && (tls.is_none() || !asks) {
            return Err(Error::Listen {
                address: address.to_string(),
                reason:
                    "other machines could reach it; give --tls-cert, --tls-key and --tokens, or \
                         --insecure if the network keeps strangers out"
                        .to_owned(),
            });
        }
        Ok(Access {
            tls,
            tokens: tokens.map(Arc::new),
        })
    }
}

fn read(setting: &'static str, path: &Path) -> Result<String, Error> {
    let read = std::fs::read_to_string(path);
    read.map_err(|error| refused(setting, path, error.to_string()))
}

fn refused(setting: &'static str, path: &Path, reason: String) -> Error {
    Error::Setting {
        setting,
        value: path.display().to_string(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;
    use crate::access::tokens::line;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn other_machines_are_served_only_encrypted_and_known_unless_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = folder.path().join("tokens");
        std::fs::write(&tokens, line("w", Role::Worker, None, "secret")).unwrap();
        let open = AccessOptions::default();
        assert!(open.load(address("127.0.0.1:1")).is_ok());
        assert!(open.load(address("[::1]:1")).is_ok());
        let with_tokens = AccessOptions {
            tokens: Some(tokens),
            ..AccessOptions::default()
        };
        for options in [&open, &with_tokens] {
            let refused = options.load(address("0.0.0.0:1")).unwrap_err().to_string();
            assert!(
                refused.contains("--tls-cert") && refused.contains("--insecure"),
                "{refused}"
            );
        }
        let insecure = AccessOptions {
            insecure: true,
            ..with_tokens
        };
        let access = insecure.load(address("0.0.0.0:1")).unwrap();
        assert!(
            access
                .tokens
                .is_some_and(|tokens| tokens.holder("secret").is_some())
        );
    }

    #[test]
    fn the_dashboard_asks_for_no_less_than_the_coordinator() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = folder.path().join("tokens");
        std::fs::write(&tokens, line("v", Role::Viewer, None, "secret")).unwrap();
        let here = address("127.0.0.1:1");
        let open = AccessOptions::default();
        let visitors = open.visitors(&open.load(here).unwrap());
        assert!(matches!(visitors.admission, Admission::Everybody));
        assert!(!visitors.are_anywhere);
        let with_tokens = AccessOptions {
            tokens: Some(tokens),
            insecure: true,
            ..AccessOptions::default()
        };
        let visitors = with_tokens.visitors(&with_tokens.load(here).unwrap());
        assert!(matches!(visitors.admission, Admission::Holders(_)));
        assert!(visitors.are_anywhere);
        // Who must show a certificate to call must not get in without one.
        let with_certificates = AccessOptions {
            tls_client_ca: Some("ca.pem".into()),
            ..AccessOptions::default()
        };
        let visitors = with_certificates.visitors(&Access::default());
        assert!(matches!(visitors.admission, Admission::Nobody));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_its_flag() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = folder.path().join("tokens");
        let options = AccessOptions {
            tokens: Some(tokens.clone()),
            ..AccessOptions::default()
        };
        for content in [None, Some("ada")] {
            if let Some(content) = content {
                std::fs::write(&tokens, content).unwrap();
            }
            let refused = options
                .load(address("127.0.0.1:1"))
                .unwrap_err()
                .to_string();
            assert!(
                refused.contains("--tokens") && refused.contains("tokens"),
                "{refused}"
            );
        }
    }
}
