//! Leases: which worker holds which slot, until when.
//!
//! A lease is permission to spend time on a slot, not permission to commit to it: the first object
//! in the slot wins, whoever wrote it. A lease that is expired too early therefore costs duplicate
//! work, but never a row.

use std::time::Duration;

use whence_schemas::{Attempt, WorkerId};

use super::Timestamp;

/// How long leases last, and when a slow attempt gets a backup.
#[derive(Debug, Clone, Copy)]
pub struct LeaseRules {
    /// A lease that is not renewed for this long ends.
    pub ttl: Duration,
    /// A lease whose attempt makes no progress for this long ends, even if it is renewed.
    pub stuck_after: Duration,
    /// How long an attempt must have run, at least, before it can get a backup.
    pub backup_after: Duration,
}

/// One attempt at a slot, with its deadline and its reported progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The attempt.
    pub attempt: Attempt,
    /// The worker that makes it.
    pub worker: WorkerId,
    /// Whether it is a backup for an earlier attempt that takes too long.
    pub is_backup: bool,
    /// Rows done, as last reported.
    pub rows_done: u64,
    /// Tokens done, as last reported.
    pub tokens_done: u64,
    /// When the lease was granted.
    pub(super) since: Timestamp,
    /// When it ends unless it is renewed.
    pub(super) expires: Timestamp,
    /// When more rows or tokens were last reported; at first, when the lease was granted.
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

    /// Renews the lease. Reports may arrive out of order, so the reported progress never goes down.
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

    /// Returns whether the attempt is lost: its worker fell silent or made no progress for too
    /// long.
    pub(super) fn is_lost(&self, now: Timestamp, rules: &LeaseRules) -> bool {
        now >= self.expires || now.since(self.progressed) >= rules.stuck_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, attempt, worker};

    const RULES: LeaseRules = LeaseRules {
        ttl: Duration::from_secs(30),
        stuck_after: Duration::from_mins(2),
        backup_after: Duration::from_mins(1),
    };

    fn granted() -> Lease {
        Lease::new(attempt(1), worker("a"), at(100), RULES.ttl)
    }

    #[test]
    fn reports_that_overtake_each_other_take_no_progress_back() {
        let mut lease = granted();
        lease.renew(3, 20, at(110), RULES.ttl);
        lease.renew(2, 30, at(115), RULES.ttl);
        lease.renew(1, 10, at(120), RULES.ttl);
        let expected = Lease {
            rows_done: 3,
            tokens_done: 30,
            expires: at(150),
            // The last report said nothing new, so it was no progress.
            progressed: at(115),
            ..granted()
        };
        assert_eq!(lease, expected);
    }

    #[test]
    fn a_lease_is_lost_by_silence_or_by_standing_still() {
        let mut lease = granted();
        assert!(!lease.is_lost(at(129), &RULES));
        assert!(lease.is_lost(at(130), &RULES));
        // Renewed all the time, but without progress.
        for seconds in (110..=220).step_by(10) {
            lease.renew(0, 0, at(seconds), RULES.ttl);
        }
        assert!(!lease.is_lost(at(219), &RULES));
        assert!(lease.is_lost(at(220), &RULES));
        lease.renew(0, 1, at(220), RULES.ttl);
        assert!(!lease.is_lost(at(220), &RULES));
    }
}
