//! Time as a job sees it: an argument that comes in with every event, so that tests need no clock.

use std::time::Duration;

/// The time since the coordinator started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub Duration);

impl Timestamp {
    /// Returns the time `wait` later.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0 + wait)
    }

    /// Returns the time from `earlier` to this; zero if `earlier` is in fact later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
