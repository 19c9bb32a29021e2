//! The requests that were made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A request, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The method.
    pub method: String,
    /// Path and query, as they were sent.
    pub path: String,
    /// Whether the storage server was asked, and not the Hub itself.
    pub is_storage: bool,
    /// The header `Range`.
    pub range: Option<String>,
    /// The access token that was sent.
    pub token: Option<String>,
    /// The header `User-Agent`.
    pub user_agent: String,
    /// The status of the answer; 0 if there is none yet.
    pub status: u16,
    /// Bytes of a file's body that were sent so far.
    pub bytes_sent: u64,
}

/// An entry whose last fields are still being filled.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) request: Logged,
    pub(crate) bytes_sent: Arc<AtomicU64>,
}

impl Entry {
    pub(crate) fn read(&self) -> Logged {
        Logged {
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
            ..self.request.clone()
        }
    }
}
