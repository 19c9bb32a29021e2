//! Credentials of the machine itself, which are asked for if none were given.
//!
//! Machines of a cloud have a metadata server that hands them out. Anywhere else nobody answers, and
//! the client of the store would try for half a minute. So a connection is tried first.

use std::error::Error as StdError;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use object_store::{CredentialProvider, Error};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// The metadata server is on the same host or next to it, so that it answers at once if at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A new pod may start before its metadata server does.
const ATTEMPTS: u32 = 3;
/// Pause before another attempt.
const PAUSE: Duration = Duration::from_millis(500);

/// No credentials were given, and this machine has none of its own.
#[derive(Debug, thiserror::Error)]
#[error("no credentials were given, and this machine has none of its own")]
pub(super) struct MissingCredentials {
    /// What the metadata server answered, if there is one.
    #[source]
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

/// Returns whether a request to a bucket failed because no credentials were given and this machine
/// has none of its own.
pub fn lacks_credentials(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<MissingCredentials>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// Credentials from a metadata server.
#[derive(Debug)]
pub(super) struct OfMachine<C> {
    server: Arc<dyn CredentialProvider<Credential = C>>,
    /// Host and port of the server, in all forms that the client tries.
    addresses: Vec<String>,
    /// Whether the server gave credentials before. If it fails later, it will recover.
    has_answered: AtomicBool,
}

impl<C> OfMachine<C> {
    /// Asks `server` for credentials, once something listens at one of the `addresses`.
    pub(super) fn new(
        server: Arc<dyn CredentialProvider<Credential = C>>,
        addresses: Vec<String>,
    ) -> Arc<Self> {
        Arc::new(Self {
            server,
            addresses,
            has_answered: AtomicBool::new(false),
        })
    }
}

#[async_trait]
impl<C: Debug + Send + Sync + 'static> CredentialProvider for OfMachine<C> {
    type Credential = C;

    async fn get_credential(&self) -> object_store::Result<Arc<C>> {
        if self.has_answered.load(Ordering::Relaxed) {
            return self.server.get_credential().await;
        }
        if !is_reachable(&self.addresses).await {
            return Err(missing(None));
        }
        let found = self.server.get_credential().await;
        let found = found.map_err(|error| missing(Some(Box::new(error))))?;
        self.has_answered.store(true, Ordering::Relaxed);
        Ok(found)
    }
}

fn missing(cause: Option<Box<dyn StdError + Send + Sync>>) -> Error {
    Error::Unauthenticated {
        path: String::new(),
        source: Box::new(MissingCredentials { cause }),
    }
}

async fn is_reachable(addresses: &[String]) -> bool {
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            sleep(PAUSE).await;
        }
        let connections = addresses
            .iter()
            .map(|address| timeout(CONNECT_TIMEOUT, TcpStream::connect(address.as_str())));
        let connected = join_all(connections).await;
        if connected
            .iter()
            .any(|connected| matches!(connected, Ok(Ok(_))))
        {
            return true;
        }
    }
    false
}

/// Returns host and port of a URL, or of a host that may have a port.
pub(super) fn address(server: &str) -> String {
    let host = server.split_once("://").map_or(server, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let default_port = if server.starts_with("https://") {
        443
    } else {
        80
    };
    if has_port {
        host.to_owned()
    } else {
        format!("{host}:{default_port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Refuses;

    #[async_trait]
    impl CredentialProvider for Refuses {
        type Credential = ();

        async fn get_credential(&self) -> object_store::Result<Arc<()>> {
            Err(Error::NotImplemented {
                operation: "credentials".to_owned(),
                implementer: "a test".to_owned(),
            })
        }
    }

    #[test]
    fn the_address_of_a_metadata_server_is_found_in_all_its_forms() {
        for (server, expected) in [
            ("http://169.254.169.254", "169.254.169.254:80"),
            ("http://127.0.0.1:1234/a/b", "127.0.0.1:1234"),
            ("metadata.google.internal", "metadata.google.internal:80"),
            ("localhost:8080", "localhost:8080"),
            ("https://host/token", "host:443"),
        ] {
            assert_eq!(address(server), expected);
        }
    }

    #[tokio::test]
    async fn a_machine_without_credentials_lacks_them_whether_or_not_something_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap().to_string();
        let asked = OfMachine::new(Arc::new(Refuses), vec![here.clone()]);
        assert!(lacks_credentials(
            &asked.get_credential().await.unwrap_err()
        ));
        drop(listener);
        let asked = OfMachine::new(Arc::new(Refuses), vec![here]);
        assert!(lacks_credentials(
            &asked.get_credential().await.unwrap_err()
        ));
        assert!(!lacks_credentials(
            &Refuses.get_credential().await.unwrap_err()
        ));
    }
}
