//! The settings of a coordinator, their defaults and their limits.

use std::net::SocketAddr;
use std::time::Duration;

use crate::Error;
use crate::access::Tenancy;
use crate::access::places::Place;
use crate::job::{Rules, Share};

/// Shortest heartbeat interval and lease lifetime. With anything shorter, workers would spend their
/// time on heartbeats alone.
const SHORTEST: Duration = Duration::from_millis(10);
/// Longest heartbeat interval and lease lifetime. A vanished worker has to be noticed eventually,
/// and much longer durations would overflow when they are added to a time.
const LONGEST: Duration = Duration::from_hours(24);
/// Heartbeats that must fit into one lease, so that one may be lost or late without losing it.
const LEAST_HEARTBEATS_PER_LEASE: u32 = 2;

/// Which jobs of its storage root a coordinator serves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// All of them. The root then has only this coordinator: an older one steps down.
    #[default]
    Root,
    /// Only those submitted to it, alongside any other coordinator of the root. Used by a process
    /// that runs a single job by itself.
    Submitted,
}

/// Settings of a coordinator.
#[derive(Debug, Clone)]
pub struct Config {
    /// URL of the storage root.
    pub store_url: String,
    /// URL by which workers reach the same root, if it differs from `store_url`.
    pub advertised_store_url: Option<String>,
    /// Which jobs are served.
    pub scope: Scope,
    /// Where everything must be that a job names; anywhere if empty.
    pub allowed: Vec<Place>,
    /// What each tenant may have.
    pub tenancy: Tenancy,
    /// Where it listens, for another one that is started on the same root; none if nobody else can
    /// reach it.
    pub address: Option<SocketAddr>,
    /// Whether connections to it are encrypted.
    pub is_encrypted: bool,
    /// Whether it takes over from another coordinator that still answers, instead of waiting for its end.
    pub takes_over: bool,
    /// Which slots come first, if other processes serve the same job on their own.
    pub share: Option<Share>,
    /// How often a worker renews its leases.
    pub heartbeat_interval: Duration,
    /// How long a lease lasts after it was granted or last renewed.
    pub lease_ttl: Duration,
    /// How long an attempt may go without progress, even if its lease is renewed.
    pub stuck_after: Duration,
    /// How old an attempt must be, at least, before an idle worker may start a backup attempt.
    pub backup_after: Duration,
    /// How often the store is polled for unreported commits and cancellations, and for a newer
    /// coordinator.
    pub poll_interval: Duration,
    /// Shortest time between two status updates of a watched job.
    pub watch_interval: Duration,
}

impl Config {
    /// Returns the default settings for the storage root at `store_url`.
    pub fn new(store_url: impl Into<String>) -> Self {
        Self {
            store_url: store_url.into(),
            ..Self::default()
        }
    }

    /// Fails if a coordinator could not work with these settings. The error names the setting.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |setting: &'static str, value: Duration, reason: String| {
            Err(Error::Setting {
                setting,
                value: humantime::format_duration(value).to_string(),
                reason,
            })
        };
        for (setting, value) in [
            ("--heartbeat", self.heartbeat_interval),
            ("--lease-ttl", self.lease_ttl),
        ] {
            if value < SHORTEST {
                let shortest = humantime::format_duration(SHORTEST);
                return refuse(setting, value, format!("it must be {shortest} or more"));
            }
            if value > LONGEST {
                let longest = humantime::format_duration(LONGEST);
                return refuse(setting, value, format!("it must be {longest} or less"));
            }
        }
        let least_ttl = self.heartbeat_interval * LEAST_HEARTBEATS_PER_LEASE;
        if self.lease_ttl < least_ttl {
            let least = humantime::format_duration(least_ttl);
            let reason = format!(
                "a lease must outlive {LEAST_HEARTBEATS_PER_LEASE} heartbeats: give {least} or \
                 more, or a shorter `--heartbeat`"
            );
            return refuse("--lease-ttl", self.lease_ttl, reason);
        }
        Ok(())
    }

    /// Returns how long leases last.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            ttl: self.lease_ttl,
            stuck_after: self.stuck_after,
            backup_after: self.backup_after,
            share: self.share,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            store_url: String::new(),
            advertised_store_url: None,
            scope: Scope::Root,
            allowed: Vec::new(),
            tenancy: Tenancy::default(),
            address: None,
            is_encrypted: false,
            takes_over: false,
            share: None,
            heartbeat_interval: Duration::from_secs(5),
            // Six renewals, so that a slow batch or a short outage costs no lease.
            lease_ttl: Duration::from_secs(30),
            // While a worker loads a large model or computes a slow batch, it reports no progress.
            stuck_after: Duration::from_mins(10),
            backup_after: Duration::from_mins(1),
            poll_interval: Duration::from_secs(10),
            watch_interval: Duration::from_millis(250),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(heartbeat: Duration, lease_ttl: Duration) -> Option<String> {
        let config = Config {
            heartbeat_interval: heartbeat,
            lease_ttl,
            ..Config::default()
        };
        config.check().err().map(|error| error.to_string())
    }

    #[test]
    fn the_defaults_serve() {
        assert!(Config::default().check().is_ok());
    }

    #[test]
    fn a_time_no_cluster_can_keep_is_refused_by_name() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_mins(1));
        for (heartbeat, ttl, named) in [
            (Duration::ZERO, minute, "`--heartbeat`"),
            (Duration::from_nanos(1), minute, "`--heartbeat`"),
            (Duration::MAX, minute, "`--heartbeat`"),
            (second, Duration::ZERO, "`--lease-ttl`"),
            (second, Duration::MAX, "`--lease-ttl`"),
        ] {
            let message = refusal(heartbeat, ttl).unwrap();
            assert!(message.contains(named), "{message}");
        }
    }

    #[test]
    fn a_lease_outlives_a_lost_heartbeat() {
        let second = Duration::from_secs(1);
        assert_eq!(refusal(second, 2 * second), None);
        let message = refusal(second, Duration::from_millis(1900)).unwrap();
        assert!(
            message.contains("`--lease-ttl`") && message.contains("2s"),
            "{message}"
        );
    }
}
