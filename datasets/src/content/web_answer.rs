//! What an answer of a web server means that is not the file, and how long to wait for a better one.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Response, StatusCode};
use tokio::time::{Instant, sleep};
use tracing::warn;
use whence_schemas::retry::{RetryBudget, RetryPolicy, Verdict, in_words, jitter};

use super::failure::RemoteFailure;

/// A server that is deployed anew or a network that is switched over is back within a minute. The
/// time counts from the last byte that arrived.
pub(super) const RETRY: RetryPolicy = RetryPolicy {
    first_pause: Duration::from_millis(500),
    longest_pause: Duration::from_secs(10),
    give_up_after: Duration::from_mins(1),
};

/// Longest pause that a server can ask for.
const LONGEST_ASKED_PAUSE: Duration = Duration::from_mins(6);

/// How long to wait for a connection, and for the next bytes.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the client for web servers. There is one for the process, which keeps its connections.
pub(crate) fn web_client() -> io::Result<&'static Client> {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    if let Some(client) = CLIENT.get() {
        return Ok(client);
    }
    let client = Client::builder()
        .user_agent(concat!("whence/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(TIMEOUT)
        .read_timeout(TIMEOUT)
        .build()
        .map_err(io::Error::other)?;
    Ok(CLIENT.get_or_init(|| client))
}

/// Returns the failure that an answer means.
pub(super) fn explain(response: &Response, url: &str) -> RemoteFailure {
    let status = response.status();
    let url = url.to_owned();
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => RemoteFailure::Missing { url },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RemoteFailure::Denied {
            url,
            reason: format!("HTTP status {status}"),
            next_step: "whence logs in to no web server; download the file first, or use \
                        the address of its bucket or `hf://` with your credentials",
        },
        _ if status.is_server_error()
            || matches!(
                status,
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
            ) =>
        {
            let asked = response.headers().get(RETRY_AFTER);
            let seconds = asked.and_then(|value| value.to_str().ok()?.trim().parse().ok());
            RemoteFailure::Unavailable {
                url,
                reason: format!("the server failed to answer (HTTP status {status})"),
                retry_after: seconds.map(Duration::from_secs),
            }
        }
        _ => RemoteFailure::Unsupported {
            url,
            reason: format!("the server declined the request (HTTP status {status})"),
        },
    }
}

/// Returns the failure for a connection that could not be made or that broke.
pub(super) fn unreachable(url: &str, error: reqwest::Error) -> RemoteFailure {
    RemoteFailure::Unavailable {
        url: url.to_owned(),
        reason: whence_schemas::chain(&error.without_url()),
        retry_after: None,
    }
}

/// Waits until the request that ended with `failure` can be made again. Returns `failure` if it
/// should not be.
pub(super) async fn wait_out(
    budget: &mut RetryBudget,
    failure: RemoteFailure,
) -> Result<(), RemoteFailure> {
    let asked = match &failure {
        RemoteFailure::Unavailable { retry_after, .. } => retry_after.unwrap_or_default(),
        _ => Duration::ZERO,
    };
    let Verdict::Retry { pause, .. } = budget.spend(failure.kind(), Instant::now(), jitter())
    else {
        return Err(failure);
    };
    if asked > LONGEST_ASKED_PAUSE {
        return Err(failure);
    }
    let pause = pause.max(asked);
    // A pause that a person notices is announced.
    if pause >= Duration::from_secs(2) {
        warn!(error = %failure, "trying again in {}", in_words(pause));
    }
    sleep(pause).await;
    Ok(())
}
