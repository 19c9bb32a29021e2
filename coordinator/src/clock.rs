//! Time, in the one place that reads it.
//!
//! Leases are measured on a monotonic clock that a test can pause; the calendar is only written down,
//! for people who look, and orders jobs.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::job::Timestamp;

/// The time since it was started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts counting.
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Returns how long ago that was.
    pub(crate) fn now(self) -> Timestamp {
        Timestamp(self.start.elapsed())
    }

    /// Returns the instant of a timestamp, to wait for it.
    pub(crate) fn instant(self, at: Timestamp) -> Instant {
        self.start + at.0
    }

    /// Returns milliseconds since 1970, for people; 0 before.
    #[expect(clippy::disallowed_methods, reason = "the clock is what reads it")]
    pub(crate) fn calendar_ms() -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_millis() as u64)
    }
}
