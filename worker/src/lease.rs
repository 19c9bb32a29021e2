//! Leases, parsed from the wire into a type that cannot be inconsistent.
//!
//! A worker fills exactly the slot that its lease names. A lease that names no slot, or whose parts
//! contradict each other, is therefore refused before any work and reported to the coordinator.

use std::sync::Arc;
use std::time::Duration;

use whence_proto::v1::{self, AttemptRef, FailureClass};
use whence_schemas::{Attempt, Epoch, InvalidId, JobId, JobSpec, SlotId, layout};

/// Permission to work on a slot, until it expires without being renewed.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// The slot.
    pub slot: SlotId,
    /// The attempt at the slot that this lease permits.
    pub attempt: Attempt,
    /// Epoch of the coordinator that gave the lease.
    pub epoch: Epoch,
    /// Time after which the lease expires if it is not renewed.
    pub ttl: Duration,
    /// What to compute.
    pub spec: Arc<JobSpec>,
    /// Object name of the slot below the storage root.
    pub slot_key: String,
    /// Number of rows in the slot.
    pub rows: u64,
    /// The trace that the attempt belongs to; empty if there is none.
    pub traceparent: String,
    /// Whether a worker with more memory is there, to which rows that need it are left.
    pub larger_worker: bool,
}

impl Lease {
    /// Returns the reference by which protocol messages name the attempt.
    pub fn attempt_ref(&self) -> AttemptRef {
        AttemptRef {
            job_id: self.job.to_string(),
            slot: self.slot.to_string(),
            attempt: self.attempt.to_string(),
        }
    }
}

/// Why a lease is refused.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// A field is missing.
    #[error("the lease has no `{0}`")]
    Missing(&'static str),
    /// An id is malformed.
    #[error("the lease names no slot: {0}")]
    Id(#[from] InvalidId),
    /// The specification cannot be parsed by this release.
    #[error(
        "the lease's specification cannot be read: {0}; use the same release of whence as the coordinator"
    )]
    Spec(#[source] serde_json::Error),
    /// The specification belongs to another job.
    #[error("the lease is for job `{named}`, but its specification is that of job `{found}`")]
    OtherJob {
        /// The job that the lease names.
        named: JobId,
        /// The job that the specification describes.
        found: JobId,
    },
    /// The object to create is not the object of the slot.
    #[error("the lease says to write `{named}`, but its slot is `{expected}`")]
    OtherKey {
        /// The object name in the lease.
        named: String,
        /// The object name that follows from the slot and the specification.
        expected: String,
    },
    /// The lease's lifetime is zero, negative or out of range.
    #[error("the lease lasts {seconds} s; it must last longer than that")]
    Ttl {
        /// The lifetime in the lease, in whole seconds.
        seconds: i64,
    },
    /// The slot has no rows.
    #[error("the lease's slot has no rows")]
    NoRows,
}

impl LeaseError {
    /// Returns the class that is reported to the coordinator. A specification that this release
    /// cannot parse fails the job; everything else is a bug of the coordinator.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Spec(_) => FailureClass::Specification,
            _ => FailureClass::Internal,
        }
    }
}

impl TryFrom<&v1::Lease> for Lease {
    type Error = LeaseError;

    fn try_from(lease: &v1::Lease) -> Result<Self, LeaseError> {
        let at = lease.attempt.as_ref();
        let at = at.ok_or(LeaseError::Missing("attempt"))?;
        let (job, slot, attempt) = (at.job_id.parse()?, at.slot.parse()?, at.attempt.parse()?);
        let spec: JobSpec = serde_json::from_str(&lease.spec_json).map_err(LeaseError::Spec)?;
        // A job's id is the hash of its specification, so this detects a lease whose parts belong
        // to two jobs.
        if spec.id() != job {
            let found = spec.id();
            return Err(LeaseError::OtherJob { named: job, found });
        }
        let expected = layout::slot(&layout::table(&spec), &slot);
        if lease.slot_key != expected {
            let named = lease.slot_key.clone();
            return Err(LeaseError::OtherKey { named, expected });
        }
        if lease.rows == 0 {
            return Err(LeaseError::NoRows);
        }
        Ok(Self {
            job,
            slot,
            attempt,
            epoch: Epoch(lease.epoch),
            ttl: ttl(lease)?,
            spec: Arc::new(spec),
            slot_key: lease.slot_key.clone(),
            rows: lease.rows,
            traceparent: lease.traceparent.clone(),
            larger_worker: lease.larger_worker,
        })
    }
}

fn ttl(lease: &v1::Lease) -> Result<Duration, LeaseError> {
    let ttl = lease.ttl.ok_or(LeaseError::Missing("ttl"))?;
    let seconds = ttl.seconds;
    let ttl = Duration::try_from(ttl).ok().filter(|ttl| !ttl.is_zero());
    ttl.ok_or(LeaseError::Ttl { seconds })
}

#[cfg(test)]
mod tests {
    use whence_schemas::canonical;

    use super::*;
    use crate::testing::{sent, spec};

    fn refused(change: impl FnOnce(&mut v1::Lease)) -> LeaseError {
        let mut lease = sent(0);
        change(&mut lease);
        Lease::try_from(&lease).unwrap_err()
    }

    fn change_attempt(change: impl FnOnce(&mut AttemptRef)) -> LeaseError {
        refused(|lease| change(lease.attempt.as_mut().unwrap()))
    }

    #[test]
    fn a_whole_lease_is_taken_as_it_was_sent() {
        let sent = sent(7);
        let lease = Lease::try_from(&sent).unwrap();
        assert_eq!(Some(lease.attempt_ref()), sent.attempt);
        assert_eq!((lease.epoch, lease.rows), (Epoch(3), 4));
        assert_eq!(lease.ttl, Duration::from_secs(30));
        assert_eq!(*lease.spec, spec());
        assert_eq!(lease.slot_key, sent.slot_key);
    }

    #[test]
    fn a_lease_with_a_malformed_field_is_refused_and_the_field_is_named() {
        let ttl = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });
        for (refused, message) in [
            (
                refused(|lease| lease.attempt = None),
                "the lease has no `attempt`",
            ),
            (refused(|lease| lease.ttl = None), "the lease has no `ttl`"),
            (
                refused(|lease| lease.ttl = ttl(0, 0)),
                "the lease lasts 0 s; it must last longer than that",
            ),
            (
                refused(|lease| lease.ttl = ttl(-5, 0)),
                "the lease lasts -5 s; it must last longer than that",
            ),
            (
                change_attempt(|at| at.job_id = "../x".to_owned()),
                "the lease names no slot: `../x` is not a job id",
            ),
            (
                change_attempt(|at| at.slot.clear()),
                "the lease names no slot: `` is not a slot id",
            ),
            (
                change_attempt(|at| at.slot = "p000000-2".to_owned()),
                "the lease names no slot: `p000000-2` is not a slot id",
            ),
            (
                change_attempt(|at| at.attempt = "1".to_owned()),
                "the lease names no slot: `1` is not an attempt id",
            ),
            (
                refused(|lease| lease.rows = 0),
                "the lease's slot has no rows",
            ),
        ] {
            let found = refused.to_string();
            assert!(found.starts_with(message), "{found}");
            assert_eq!(refused.class(), FailureClass::Internal, "{message}");
        }
    }

    #[test]
    fn a_lease_that_contradicts_itself_is_refused() {
        let key = layout::slot(&layout::table(&spec()), &SlotId::of_shard(1));
        for refused in [
            refused(|lease| lease.slot_key = "jobs/x/spec.json".to_owned()),
            refused(|lease| lease.slot_key.clear()),
            refused(|lease| lease.slot_key = key),
            change_attempt(|at| at.slot = "p000000-1".to_owned()),
        ] {
            assert!(matches!(refused, LeaseError::OtherKey { .. }), "{refused}");
        }
        let other = refused(|lease| {
            let other = JobSpec { seed: 9, ..spec() };
            lease.spec_json = canonical::to_string(&other).unwrap();
        });
        assert!(matches!(other, LeaseError::OtherJob { .. }), "{other}");
        assert_eq!(other.class(), FailureClass::Internal);
    }

    #[test]
    fn a_specification_of_another_release_fails_the_job_not_the_slot() {
        for json in [r#"{"novelty": 1}"#, ""] {
            let newer = refused(|lease| lease.spec_json = json.to_owned());
            assert_eq!(newer.class(), FailureClass::Specification);
            assert!(newer.to_string().contains("same release"), "{newer}");
        }
    }
}
