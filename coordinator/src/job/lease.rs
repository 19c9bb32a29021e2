//! Leases: which worker holds which slot, until when.
//!
//! A lease is permission to spend time, not permission to commit: whoever fills the slot first has
//! filled it. So a lease that was expired too early costs work, never a row.

use std::time::Duration;

use whence_schemas::{Attempt, WorkerId};

use super::Timestamp;

/// How long leases last.
#[derive(Debug, Clone, Copy)]
pub struct LeaseRules {
    /// Unrenewed, a lease ends after this.
    pub ttl: Duration,
    /// Renewed but without progress, it ends after this.
    pub stuck_after: Duration,
    /// The least time before a straggler gets a backup.
    pub backup_after: Duration,
}

/// One attempt at a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The attempt.
    pub attempt: Attempt,
    /// Who makes it.
    pub worker: WorkerId,
    /// Whether it races an earlier attempt that takes too long.
    pub is_backup: bool,
    /// Rows done, as reported.
    pub rows_done: u64,
    /// Tokens done, as reported.
    pub tokens_done: u64,
    pub(super) since: Timestamp,
    pub(super) expires: Timestamp,
    pub(super) progressed: Timestamp,
}

impl Lease {
    pub(super) fn new(attempt: Attempt, worker: WorkerId, now: Timestamp, ttl: Duration) -> Self {
        Self {
            attempt,
            worker,
            is_backup: false,
            rows_done: 0,
            tokens_done: 0,
            since: now,
            expires: now.after(ttl),
            progressed: now,
        }
    }

    pub(super) fn renew(
        &mut self,
        rows_done: u64,
        tokens_done: u64,
        now: Timestamp,
        ttl: Duration,
    ) {
        self.expires = now.after(ttl);
        if rows_done > self.rows_done || tokens_done > self.tokens_done {
            self.progressed = now;
            self.rows_done = self.rows_done.max(rows_done);
            self.tokens_done = self.tokens_done.max(tokens_done);
        }
    }

    /// Returns whether the attempt is lost: its worker is silent, or speaks but does nothing.
    pub(super) fn is_lost(&self, now: Timestamp, rules: &LeaseRules) -> bool {
        now >= self.expires || now.since(self.progressed) >= rules.stuck_after
    }
}
