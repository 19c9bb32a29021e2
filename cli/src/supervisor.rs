//! Keeps a worker process running: starts another one when it dies.
//!
//! The worker is a process of its own so that a row that takes its process down leaves the coordinator
//! alive, which sees what was lost and splits or gives up the slot.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{Exit, Failure};

/// A worker that ends sooner could not work at all.
const TOO_SOON: Duration = Duration::from_secs(10);
/// So many workers in a row that ended too soon are enough.
const MOST_TOO_SOON: u32 = 5;
/// Pause before another worker is started; it doubles with each that ends too soon.
const PAUSE: Duration = Duration::from_millis(500);

/// Runs this program with `arguments`, again and again, until `stop` is canceled. Then tells it to end,
/// and waits for that.
///
/// Fails if it cannot be started, if it says that its arguments are wrong, or if it keeps ending by
/// itself as soon as it has started.
pub(crate) async fn keep_running(
    arguments: &[String],
    stop: CancellationToken,
) -> Result<(), Failure> {
    let failed = |what: &str, error: std::io::Error| Failure::run(format!("{what}: {error}"));
    let program = std::env::current_exe().map_err(|error| failed("find this program", error))?;
    let mut too_soon = 0;
    loop {
        let mut command = Command::new(&program);
        command.args(arguments).stdin(Stdio::null());
        command.stdout(Stdio::null()).kill_on_drop(true);
        // They are for coordinators elsewhere.
        command
            .env_remove("WHENCE_TOKEN")
            .env_remove("WHENCE_TOKEN_FILE");
        let mut child = command
            .spawn()
            .map_err(|error| failed("start a worker", error))?;
        let started = Instant::now();
        let ended = tokio::select! {
            ended = child.wait() => ended.map_err(|error| failed("wait for the worker", error))?,
            () = stop.cancelled() => return end(child).await,
        };
        let pause = next(ended, started.elapsed(), &mut too_soon)?;
        tracing::warn!(%ended, "the worker ended; another one is started");
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
}

/// Decides what to do after a worker `ended`: returns the pause before the next one.
fn next(ended: ExitStatus, lived: Duration, too_soon: &mut u32) -> Result<Duration, Failure> {
    match ended.code() {
        // It has said what is wrong.
        Some(code) if code == i32::from(Exit::WrongRequest.status()) => {
            return Err(Failure::request("the worker cannot run"));
        }
        // It was killed, perhaps by a row. The coordinator judges that.
        None => *too_soon = 0,
        Some(_) if lived >= TOO_SOON => *too_soon = 0,
        Some(_) => *too_soon += 1,
    }
    if *too_soon >= MOST_TOO_SOON {
        let message = format!("the worker ended {MOST_TOO_SOON} times as soon as it had started");
        return Err(Failure::run(message));
    }
    Ok(PAUSE * 2_u32.pow(*too_soon))
}

/// Tells a worker to end and waits until it has: it first commits the rows it has finished.
async fn end(mut child: Child) -> Result<(), Failure> {
    let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(id) = id
        && let Err(error) = kill_process(id, Signal::TERM)
    {
        tracing::warn!(%error, "the worker cannot be told to end");
    }
    let ended = child.wait().await;
    let ended = ended.map_err(|error| Failure::run(format!("wait for the worker: {error}")))?;
    tracing::info!(%ended, "the worker ended");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_worker_that_is_killed_is_replaced_however_often() {
        let mut too_soon = 3;
        let killed = ExitStatus::from_raw(9);
        for _ in 0..100 {
            assert_eq!(next(killed, SECOND, &mut too_soon), Ok(PAUSE));
        }
    }

    #[test]
    fn a_worker_that_cannot_work_is_given_up() {
        let mut too_soon = 0;
        let failed = ExitStatus::from_raw(1 << 8);
        for earlier in 1..MOST_TOO_SOON {
            let pause = next(failed, SECOND, &mut too_soon);
            assert_eq!(pause, Ok(PAUSE * 2_u32.pow(earlier)));
        }
        // One that worked for a while starts the count anew.
        assert_eq!(next(failed, TOO_SOON, &mut too_soon), Ok(PAUSE));
        for _ in 1..MOST_TOO_SOON {
            assert!(next(failed, SECOND, &mut too_soon).is_ok());
        }
        assert!(next(failed, SECOND, &mut too_soon).is_err());
        assert!(next(ExitStatus::from_raw(2 << 8), TOO_SOON, &mut 0).is_err());
    }
}
