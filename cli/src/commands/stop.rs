//! Requests to stop (SIGINT and SIGTERM), and what happens to a command's work then.

use tokio::signal::unix::{SignalKind, signal};

use crate::{Exit, Failure};

/// Runs `work` to its end, or until the user or the system asks this process to stop.
///
/// In that case `work` is dropped, along with the files it was writing. The message `told` tells
/// the user what that means.
pub(super) async fn unless_stopped<T>(
    work: impl Future<Output = Result<T, Failure>>,
    told: &str,
) -> Result<T, Failure> {
    tokio::select! {
        // Polled first, so that the signal handlers are installed before the work begins.
        biased;
        exit = stop_requested() => Err(Failure::stopped(exit, told)),
        outcome = work => outcome,
    }
}

/// Waits until the user (SIGINT) or the system (SIGTERM) asks this process to stop, and returns
/// which of the two it was.
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
        // No handler could be installed, so the signals end the process in the default way.
        std::future::pending().await
    }
}
