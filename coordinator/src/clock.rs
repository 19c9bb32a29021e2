//! The only place that reads the time.
//!
//! Leases are measured on a monotonic clock that tests can pause. Calendar time is only recorded,
//! for people to read and for sorting jobs by submission.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::job::Timestamp;

/// A monotonic clock that starts at zero.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts a clock.
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Returns the time since the clock was started.
    pub(crate) fn now(self) -> Timestamp {
        Timestamp(self.start.elapsed())
    }

    /// Converts a timestamp of this clock to an instant that tokio can wait for.
    pub(crate) fn instant(self, at: Timestamp) -> Instant {
        self.start + at.0
    }

    /// Returns the calendar time in milliseconds since 1970; 0 if the system clock is before that.
    #[expect(clippy::disallowed_methods, reason = "the clock is what reads it")]
    pub(crate) fn calendar_ms() -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_millis() as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_time_of_the_clock_can_be_waited_for() {
        let clock = Clock::start();
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(clock.now(), Timestamp(Duration::from_secs(7)));
        let until = clock.instant(clock.now().after(Duration::from_secs(5)));
        tokio::time::sleep_until(until).await;
        assert_eq!(clock.now(), Timestamp(Duration::from_secs(12)));
    }
}
