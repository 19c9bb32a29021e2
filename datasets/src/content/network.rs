//! The threads that talk to other machines.
//!
//! Readers of rows block, while network clients are asynchronous. Requests run on a small runtime
//! that all of them share, so that a caller need not have one, and may have one of any kind.

use std::io;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

/// Asks, and waits for the answer. May be called on any thread that may block, also on one of a
/// runtime.
///
/// Fails if the threads cannot be started.
pub(crate) fn wait<T: Send, F: Future<Output = T>>(
    ask: impl FnOnce() -> F + Send,
) -> io::Result<T> {
    let runtime = runtime()?;
    // On a thread of its own, because `block_on` may not be called on one that belongs to a runtime.
    Ok(std::thread::scope(|scope| {
        let waiting = scope.spawn(|| runtime.block_on(ask()));
        let answer = waiting.join();
        answer.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }))
}

/// Returns the runtime, which lives as long as the process: clients keep their connections on it.
fn runtime() -> io::Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("network")
        .enable_all()
        .build()?;
    Ok(RUNTIME.get_or_init(|| runtime))
}
