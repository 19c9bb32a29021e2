//! Waits for a coordinator that does not answer, and tells the user so.

use std::time::Duration;

use tonic::Status;
use tracing::warn;
use whence_proto::status;
use whence_schemas::ErrorKind;
use whence_schemas::retry::{GaveUp, RetryPolicy, in_words, retry};

use super::link::Link;
use crate::error::Error;

/// Returns the policy for waiting for a coordinator. Its pauses are short, because a coordinator
/// that restarts is back within seconds. They grow, because all workers of a cluster may be waiting
/// for it.
fn policy(orphan_grace: Duration) -> RetryPolicy {
    RetryPolicy {
        first_pause: Duration::from_millis(200),
        longest_pause: Duration::from_secs(5),
        give_up_after: orphan_grace,
    }
}

/// Calls `ask` until the coordinator answers. Fails if it refuses, or if no coordinator answers for
/// `orphan_grace`.
pub(super) async fn until_answered<T, F: Future<Output = Result<T, Status>>>(
    link: &Link,
    orphan_grace: Duration,
    ask: impl FnMut() -> F,
) -> Result<T, Error> {
    let address = link.address();
    let on_wait = |status: &Status, left: Duration| {
        warn!(cause = %status.message(), "{}", waiting(address, left));
    };
    let answered = retry(policy(orphan_grace), status::kind, on_wait, ask).await;
    answered.map_err(|gave_up| given_up(address, orphan_grace, &gave_up))
}

/// Returns the message that is logged while a worker waits.
fn waiting(address: &str, left: Duration) -> String {
    format!(
        "no coordinator at {address}; trying for another {}",
        in_words(left)
    )
}

/// Returns the error with which a worker ends when the coordinator refuses it or does not answer.
fn given_up(address: &str, grace: Duration, gave_up: &GaveUp<Status>) -> Error {
    let address = address.to_owned();
    match gave_up {
        GaveUp::OutOfTime(_) => Error::Orphaned { address, grace },
        GaveUp::WillNotPass(refusal) => match status::kind(refusal) {
            ErrorKind::Invalid | ErrorKind::NotFound => Error::Refused {
                address,
                reason: refusal.message().to_owned(),
            },
            kind => Error::Coordinator {
                address,
                kind,
                reason: refusal.message().to_owned(),
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_where_the_worker_asks_and_for_how_long() {
        let message = waiting("http://10.0.0.1:7700", Duration::from_mins(14));
        assert_eq!(
            message,
            "no coordinator at http://10.0.0.1:7700; trying for another 14 min"
        );
    }

    #[test]
    fn a_refusal_is_told_from_a_failure_and_from_silence() {
        let grace = Duration::from_mins(5);
        let given_up = |gave_up| given_up("http://c:1", grace, &gave_up);
        let refused = given_up(GaveUp::WillNotPass(Status::invalid_argument(
            "other release",
        )));
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        assert!(refused.to_string().contains("other release"), "{refused}");
        let failed = given_up(GaveUp::WillNotPass(Status::internal("a bug")));
        assert_eq!(failed.kind(), ErrorKind::Internal);
        let silent = given_up(GaveUp::OutOfTime(Status::unavailable("refused")));
        assert_eq!(silent.kind(), ErrorKind::Unavailable);
        assert!(silent.to_string().contains("http://c:1"), "{silent}");
    }
}
