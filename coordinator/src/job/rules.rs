//! What a coordinator was told about leases, and about others that serve the same job.

use std::time::Duration;

use super::Share;

/// How long leases last, when a slow attempt gets a backup, and which slots come first.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// A lease that is not renewed for this long ends.
    pub ttl: Duration,
    /// A lease whose attempt makes no progress for this long ends, even if it is renewed.
    pub stuck_after: Duration,
    /// How long an attempt must have run, at least, before it can get a backup.
    pub backup_after: Duration,
    /// Which slots come first; none if nobody else serves the job.
    pub share: Option<Share>,
}
