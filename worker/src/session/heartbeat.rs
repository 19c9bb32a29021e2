//! Renews leases: at every interval, and earlier if a task progressed, so that users see it soon.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::link::Link;
use super::running::RunningTasks;

/// Minimum time before an early heartbeat that only reports progress.
const EARLY: Duration = Duration::from_millis(250);

/// Renews the leases of the running tasks.
pub(super) struct Heartbeat {
    pub(super) link: Link,
    pub(super) running: RunningTasks,
    pub(super) progressed: Arc<Notify>,
    pub(super) interval: Duration,
}

impl Heartbeat {
    /// Sends heartbeats until `ended`. A heartbeat that fails is not repeated: the next one follows
    /// soon, and a lease lasts for several.
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

    /// Waits until the next heartbeat after the one at `last` is due.
    async fn is_due(&self, last: Instant) {
        // An early heartbeat needs progress and a pause of at least `EARLY` since the last one.
        let early = async {
            self.progressed.notified().await;
            sleep_until(last + EARLY).await;
        };
        tokio::select! {
            () = early => {}
            () = sleep_until(last + self.interval) => {}
        }
    }

    /// Sends one heartbeat and stops the tasks that the answer names.
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
