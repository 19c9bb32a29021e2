//! Leases: which worker holds which slot, until when.
//!
//! A lease is permission to spend time on a slot, not permission to commit to it: the first object
//! in the slot wins, whoever wrote it. A lease that is expired too early therefore costs duplicate
//! work, but never a row.

use std::time::Duration;

use whence_schemas::{Attempt, WorkerId};

use super::evidence::Span;
use super::{FailureClass, Rules, Timestamp};

/// About how often a lease is renewed before it would expire.
const HEARTBEATS_PER_LEASE: u32 = 6;

/// How far an attempt is, as its worker reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Done {
    /// Rows done so far.
    pub rows: u64,
    /// Tokens attributed so far.
    pub tokens: u64,
    /// Whether it has all rows and waits for the store to take them.
    pub is_uploading: bool,
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
    /// Whether its worker has no other lease meanwhile.
    pub is_alone: bool,
    /// Whether it has all rows and waits for the store to take them.
    pub is_uploading: bool,
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
            is_alone: false,
            is_uploading: false,
            rows_done: 0,
            tokens_done: 0,
            since: now,
            expires: now.after(ttl),
            progressed: now,
        }
    }

    /// Returns how long ago the lease was granted.
    pub fn age(&self, now: Timestamp) -> Duration {
        now.since(self.since)
    }

    /// Renews the lease. Reports may arrive out of order, so the reported progress never goes down.
    ///
    /// Waiting for the store counts as progress: another attempt would have to wait too.
    pub(super) fn renew(&mut self, done: Done, now: Timestamp, ttl: Duration) {
        self.expires = now.after(ttl);
        self.is_uploading |= done.is_uploading;
        let is_more = done.rows > self.rows_done || done.tokens > self.tokens_done;
        if is_more || self.is_uploading {
            self.progressed = now;
            self.rows_done = self.rows_done.max(done.rows);
            self.tokens_done = self.tokens_done.max(done.tokens);
        }
    }

    /// Returns how the attempt was lost, if it was: its worker fell silent, or made no progress for too
    /// long.
    pub(super) fn lost(&self, now: Timestamp, rules: &Rules) -> Option<FailureClass> {
        if now >= self.expires {
            return Some(FailureClass::Lost);
        }
        let is_stuck = now.since(self.progressed) >= rules.stuck_after;
        is_stuck.then_some(FailureClass::Stuck)
    }

    /// Returns how long its worker was at work, as far as it was heard of: the lease was last renewed
    /// `ttl` before it expires.
    pub(super) fn span(&self, now: Timestamp, ttl: Duration) -> Span {
        let heard = self.expires.since(Timestamp::default()).saturating_sub(ttl);
        let silent = now.since(Timestamp(heard));
        // Nobody knows when within a heartbeat's interval the worker vanished. Lost leases are
        // noticed late, and the wait is no work.
        let unheard = silent.min(ttl / HEARTBEATS_PER_LEASE);
        Span {
            since: self.since,
            lasted: Timestamp(heard).after(unheard).since(self.since),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, attempt, done, worker};

    const RULES: Rules = Rules {
        ttl: Duration::from_secs(30),
        stuck_after: Duration::from_mins(2),
        backup_after: Duration::from_mins(1),
        share: None,
    };

    fn granted() -> Lease {
        Lease::new(attempt(1), worker("a"), at(100), RULES.ttl)
    }

    #[test]
    fn reports_that_overtake_each_other_take_no_progress_back() {
        let mut lease = granted();
        lease.renew(done(3, 20), at(110), RULES.ttl);
        assert_eq!(lease.age(at(110)), Duration::from_secs(10));
        lease.renew(done(2, 30), at(115), RULES.ttl);
        lease.renew(done(1, 10), at(120), RULES.ttl);
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
        assert_eq!(lease.lost(at(129), &RULES), None);
        assert_eq!(lease.lost(at(130), &RULES), Some(FailureClass::Lost));
        // Renewed all the time, but without progress.
        for seconds in (110..=220).step_by(10) {
            lease.renew(done(0, 0), at(seconds), RULES.ttl);
        }
        assert_eq!(lease.lost(at(219), &RULES), None);
        assert_eq!(lease.lost(at(220), &RULES), Some(FailureClass::Stuck));
        lease.renew(done(0, 1), at(220), RULES.ttl);
        assert_eq!(lease.lost(at(220), &RULES), None);
    }

    #[test]
    fn an_attempt_that_waits_for_the_store_is_not_stuck() {
        let mut lease = granted();
        let uploading = Done {
            is_uploading: true,
            ..done(3, 20)
        };
        for seconds in (110..=900).step_by(10) {
            lease.renew(uploading, at(seconds), RULES.ttl);
        }
        assert_eq!(lease.lost(at(929), &RULES), None);
        assert_eq!(lease.lost(at(930), &RULES), Some(FailureClass::Lost));
    }

    #[test]
    fn the_wait_for_a_lost_lease_is_no_work() {
        let mut lease = granted();
        let span = |seconds| Span {
            since: at(100),
            lasted: Duration::from_secs(seconds),
        };
        assert_eq!(lease.span(at(103), RULES.ttl), span(3));
        assert_eq!(lease.span(at(130), RULES.ttl), span(5));
        lease.renew(done(0, 0), at(110), RULES.ttl);
        assert_eq!(lease.span(at(140), RULES.ttl), span(15));
    }
}
