//! What callers must show.

use std::sync::Arc;

use tonic::transport::ServerTlsConfig;

use super::tokens::Tokens;

/// What callers must show. By default nothing: for a coordinator that only its own process reaches.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Certificates; none if connections are not encrypted.
    pub tls: Option<ServerTlsConfig>,
    /// Who may do what; none if everybody may do everything.
    pub tokens: Option<Arc<Tokens>>,
}

/// Who may open the pages of the dashboard.
#[derive(Debug, Clone)]
pub struct Visitors {
    /// What they must show.
    pub admission: Admission,
    /// Whether browsers on other machines are answered. Connections to the dashboard are not encrypted.
    pub are_anywhere: bool,
}

/// What visitors of the dashboard must show.
#[derive(Debug, Clone)]
pub enum Admission {
    /// Nothing: every local program may call the coordinator too.
    Everybody,
    /// A token, with which they log in.
    Holders(Arc<Tokens>),
    /// Nobody is let in: callers must show certificates, which the dashboard cannot ask for.
    Nobody,
}
