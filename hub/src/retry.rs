//! How long to wait for a Hub that does not answer, by the one retry policy of the workspace.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::warn;
use whence_schemas::retry::{RetryBudget, RetryPolicy, Verdict, in_words, jitter};

use crate::error::Error;

/// Longest pause that the Hub can ask for. Its rate limits count in windows of five minutes.
const LONGEST_ASKED_PAUSE: Duration = Duration::from_mins(6);

/// Calls `call` until it succeeds or fails for good.
pub(crate) async fn retry<T>(
    policy: RetryPolicy,
    call: impl AsyncFn() -> Result<T, Error>,
) -> Result<T, Error> {
    let mut budget = RetryBudget::new(policy);
    loop {
        match call().await {
            Ok(value) => return Ok(value),
            Err(error) => wait_out(&mut budget, error).await?,
        }
    }
}

/// Waits until the call that failed with `error` can be tried again. Returns `error` if it should
/// not be.
pub(crate) async fn wait_out(budget: &mut RetryBudget, error: Error) -> Result<(), Error> {
    if !error.may_pass() {
        return Err(error);
    }
    let verdict = budget.spend(error.kind(), Instant::now(), jitter());
    let Some(pause) = pause(verdict, &error) else {
        return Err(error);
    };
    // A pause that a person notices is announced.
    if pause >= Duration::from_secs(2) {
        warn!(%error, "the Hub does not answer, trying again in {}", in_words(pause));
    }
    sleep(pause).await;
    Ok(())
}

/// Returns how long to wait before the next try; `None` if there should be none. Asking earlier
/// than the Hub allows would only prolong the limit.
fn pause(verdict: Verdict, error: &Error) -> Option<Duration> {
    let Verdict::Retry { pause, .. } = verdict else {
        return None;
    };
    match error {
        Error::RateLimited {
            retry_after: Some(asked),
        } if *asked > LONGEST_ASKED_PAUSE => None,
        Error::RateLimited {
            retry_after: Some(asked),
        } => Some(pause.max(*asked)),
        _ => Some(pause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hub_is_not_asked_before_it_allows_it() {
        let pause_of = |own, asked| {
            let verdict = Verdict::Retry {
                pause: Duration::from_secs(own),
                time_left: Duration::from_mins(1),
            };
            let retry_after = Some(Duration::from_secs(asked));
            pause(verdict, &Error::RateLimited { retry_after }).map(|pause| pause.as_secs())
        };
        assert_eq!(pause_of(1, 300), Some(300));
        assert_eq!(pause_of(10, 2), Some(10));
        assert_eq!(pause_of(1, 3600), None);
        let out_of_time = pause(
            Verdict::OutOfTime,
            &Error::RateLimited { retry_after: None },
        );
        assert_eq!(out_of_time, None);
    }
}
