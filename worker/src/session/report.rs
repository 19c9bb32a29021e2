//! Reports to the coordinator how an attempt ended.
//!
//! A report only saves time. Without it, the coordinator finds the filled slot in the store, or the
//! lease expires. So a report is retried for a few seconds and then given up.

use std::time::Duration;

use tracing::{info, warn};
use whence_proto::status;
use whence_proto::v1::{AttemptRef, CompleteShardRequest, FailShardRequest};
use whence_schemas::retry::{GaveUp, RetryPolicy, retry};
use whence_schemas::{WorkerId, chain};

use super::link::Link;
use crate::error::Failure;
use crate::lease::{Lease, LeaseError};
use crate::task::Finished;

/// How long a report is retried. A coordinator that restarts is usually back by then.
const REPORTING: RetryPolicy = RetryPolicy {
    first_pause: Duration::from_millis(200),
    longest_pause: Duration::from_secs(5),
    give_up_after: Duration::from_secs(10),
};

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Report {
    /// Its slot is filled or split, by this attempt or by another one.
    Completed(CompleteShardRequest),
    /// The attempt could not fill its slot.
    Failed(FailShardRequest),
    /// The attempt was told to stop before any row was finished, so it gives its lease back.
    Released(AttemptRef),
}

impl Report {
    /// Builds the report of the attempt of `lease`, and logs how it ended.
    pub(super) fn of(worker: &WorkerId, lease: &Lease, ended: &Result<Finished, Failure>) -> Self {
        let (worker_id, attempt) = (worker.to_string(), Some(lease.attempt_ref()));
        match ended {
            Ok(finished) => {
                let (rows, failed) = (finished.rows, finished.failed);
                info!(outcome = ?finished.outcome, rows, failed, "slot filled");
                Self::Completed(CompleteShardRequest {
                    worker_id,
                    attempt,
                    outcome: finished.outcome.into(),
                    rows,
                    rows_failed: failed,
                    tokens: finished.tokens,
                    bytes: finished.bytes,
                })
            }
            Err(Failure::Stopped) => {
                info!("stopped before anything was finished");
                Self::Released(lease.attempt_ref())
            }
            Err(failure) => {
                let message = chain(failure);
                warn!(error = message, "attempt failed");
                Self::Failed(FailShardRequest {
                    worker_id,
                    attempt,
                    failure_class: failure.class().into(),
                    message,
                })
            }
        }
    }

    /// Builds the report that the lease of `attempt` is malformed.
    pub(super) fn malformed(
        worker: &WorkerId,
        attempt: Option<AttemptRef>,
        error: &LeaseError,
    ) -> Self {
        Self::Failed(FailShardRequest {
            worker_id: worker.to_string(),
            attempt,
            failure_class: error.class().into(),
            message: chain(error),
        })
    }

    /// Sends the report once.
    async fn tell(&self, link: &Link) -> Result<(), tonic::Status> {
        match self.clone() {
            Self::Completed(request) => link.complete(request).await,
            Self::Failed(request) => link.fail(request).await,
            Self::Released(attempt) => link.release(vec![attempt]).await,
        }
    }
}

/// Sends the report, and retries for a few seconds if the coordinator does not answer.
pub(super) async fn send(report: Report, link: &Link) {
    let told = retry(REPORTING, status::kind, |_, _| {}, || report.tell(link)).await;
    match told {
        Ok(()) => {}
        Err(GaveUp::WillNotPass(status)) => {
            warn!(cause = %status.message(), "the coordinator did not take the report");
        }
        Err(GaveUp::OutOfTime(status)) => {
            let address = link.address();
            warn!(address, cause = %status.message(), "the report reached nobody");
        }
    }
}

#[cfg(test)]
mod tests {
    use whence_proto::v1::{FailureClass, Outcome};

    use super::*;
    use crate::testing::sent;

    fn worker() -> WorkerId {
        "w".parse().unwrap()
    }

    fn report(ended: &Result<Finished, Failure>) -> Report {
        Report::of(&worker(), &Lease::try_from(&sent(0)).unwrap(), ended)
    }

    #[test]
    fn a_filled_slot_is_reported_with_its_counts() {
        let finished = Finished {
            outcome: Outcome::Superseded,
            rows: 4,
            failed: 1,
            tokens: 90,
            bytes: 1000,
        };
        let Report::Completed(request) = report(&Ok(finished)) else {
            panic!("a filled slot is not a failure");
        };
        assert_eq!(request.attempt, sent(0).attempt);
        assert_eq!(request.outcome(), Outcome::Superseded);
        let counts = (
            request.rows,
            request.rows_failed,
            request.tokens,
            request.bytes,
        );
        assert_eq!(counts, (4, 1, 90, 1000));
    }

    #[test]
    fn a_failure_is_reported_with_its_class_and_cause() {
        let failure = Failure::TooLarge {
            bytes: 300,
            limit: 200,
        };
        let Report::Failed(request) = report(&Err(failure)) else {
            panic!("a failure is reported");
        };
        assert_eq!(request.failure_class(), FailureClass::TooLarge);
        assert!(request.message.contains("300 bytes"), "{}", request.message);
    }

    #[test]
    fn an_attempt_that_was_stopped_is_given_back_and_no_failure() {
        let attempt = sent(0).attempt.unwrap();
        let stopped = report(&Err(Failure::Stopped));
        assert_eq!(stopped, Report::Released(attempt));
    }

    #[test]
    fn a_malformed_lease_is_reported_under_the_attempt_it_named() {
        let error = LeaseError::Missing("ttl");
        let report = Report::malformed(&worker(), sent(0).attempt, &error);
        let Report::Failed(request) = report else {
            panic!("a refused lease is a failure");
        };
        assert_eq!(request.attempt, sent(0).attempt);
        assert_eq!(request.message, "the lease has no `ttl`");
    }
}
