//! How a coordinator is set up.

use std::time::Duration;

use crate::job::LeaseRules;

/// Which jobs of its root a coordinator serves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// Every one, and the root has no other coordinator: an older one steps down.
    #[default]
    Root,
    /// Those submitted to it, beside whoever else serves the root. For one process that runs one job.
    Submitted,
}

/// Settings of a coordinator.
#[derive(Debug, Clone)]
pub struct Config {
    /// URL of the storage root.
    pub store_url: String,
    /// URL by which workers reach the same root, where it is another.
    pub advertised_store_url: Option<String>,
    /// Which jobs are served.
    pub scope: Scope,
    /// How often a worker renews its leases.
    pub heartbeat_interval: Duration,
    /// How long a lease lives unrenewed.
    pub lease_ttl: Duration,
    /// How long an attempt may live without progress.
    pub stuck_after: Duration,
    /// The least age of an attempt before an idle worker may race it.
    pub backup_after: Duration,
    /// How often the store is asked for commits nobody told us of, and for a newer coordinator.
    pub poll_interval: Duration,
    /// Least time between two statuses of a job that is watched.
    pub watch_interval: Duration,
}

impl Config {
    /// Returns the defaults for the storage root at `store_url`.
    pub fn new(store_url: impl Into<String>) -> Self {
        Self {
            store_url: store_url.into(),
            ..Self::default()
        }
    }

    /// Returns how long leases last.
    pub(crate) fn lease_rules(&self) -> LeaseRules {
        LeaseRules {
            ttl: self.lease_ttl,
            stuck_after: self.stuck_after,
            backup_after: self.backup_after,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            store_url: String::new(),
            advertised_store_url: None,
            scope: Scope::Root,
            heartbeat_interval: Duration::from_secs(5),
            // Six renewals, so that a slow batch or a short outage costs no lease.
            lease_ttl: Duration::from_secs(30),
            // Loading a large model and one slow batch are no progress either.
            stuck_after: Duration::from_mins(10),
            backup_after: Duration::from_mins(1),
            poll_interval: Duration::from_secs(10),
            watch_interval: Duration::from_millis(250),
        }
    }
}
