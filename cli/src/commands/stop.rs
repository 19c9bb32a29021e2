//! When a command is asked to stop, and what becomes of its work then.

use tokio::signal::unix::{SignalKind, signal};

use crate::{Exit, Failure};

/// Runs `work` to its end, or until a person or the system asks this process to stop. Then `work` is
/// dropped, and with it the files it was writing; `told` says what that means.
pub(super) async fn unless_stopped<T>(
    work: impl Future<Output = Result<T, Failure>>,
    told: &str,
) -> Result<T, Failure> {
    tokio::select! {
        // Polled first, so that signals are ours before the work begins.
        biased;
        exit = stop_requested() => Err(Failure::stopped(exit, told)),
        outcome = work => outcome,
    }
}

/// Returns when a person or the system asks this process to stop, with what to tell the shell.
pub(super) async fn stop_requested() -> Exit {
    let signals = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    if let (Ok(mut interrupt), Ok(mut terminate)) = signals {
        tokio::select! {
            _ = interrupt.recv() => Exit::Interrupted,
            _ = terminate.recv() => Exit::Terminated,
        }
    } else {
        // Without signals, the process ends the way the system ends it.
        std::future::pending().await
    }
}
