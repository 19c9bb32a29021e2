//! When a command is asked to stop.

use tokio::signal::unix::{SignalKind, signal};

/// Returns when a person or the system asks this process to stop.
pub(super) async fn stop_requested() {
    let signals = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    if let (Ok(mut interrupt), Ok(mut terminate)) = signals {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    } else {
        // Without signals, the process ends the way the system ends it.
        std::future::pending::<()>().await;
    }
}
