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
