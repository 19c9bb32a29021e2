//! Renewing leases: at every interval, and soon after progress, so that people see it move.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::link::Link;
use super::running::RunningTasks;

/// Least time between two heartbeats that were sent early to show progress.
const EARLY: Duration = Duration::from_millis(250);

/// What renews the leases of the running tasks.
pub(super) struct Heartbeat {
    pub(super) link: Link,
    pub(super) running: RunningTasks,
    pub(super) progressed: Arc<Notify>,
    pub(super) interval: Duration,
}

impl Heartbeat {
    /// Renews until `ended`. A heartbeat that nobody hears is not repeated: the next one is due soon
    /// enough, and leases survive several.
    pub(super) async fn run(self, ended: CancellationToken) {
        let mut last = Instant::now();
        loop {
            tokio::select! {
                () = self.is_due(last) => {}
                () = ended.cancelled() => return,
            }
            last = Instant::now();
            tokio::select! {
                () = self.beat() => {}
                () = ended.cancelled() => return,
            }
        }
    }

    async fn is_due(&self, last: Instant) {
        let early = async {
            self.progressed.notified().await;
            sleep_until(last + EARLY).await;
        };
        tokio::select! {
            () = early => {}
            () = sleep_until(last + self.interval) => {}
        }
    }

    async fn beat(&self) {
        match self.link.heartbeat(self.running.progress()).await {
            Ok(stop) => self.running.stop(&stop),
            Err(status) => {
                let address = self.link.address();
                warn!(address, cause = %status.message(), "a heartbeat was not answered");
            }
        }
    }
}
