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
pub(crate) mod tests {
    use whence_schemas::canonical;
    use whence_schemas::job::{DatasetSource, Dtype, ModelSource, NUMERICS_VERSION};

    use super::*;

    pub(crate) fn spec() -> JobSpec {
        JobSpec {
            model: ModelSource {
                path: "models/m".to_owned(),
                digest: "1".to_owned(),
            },
            dataset: DatasetSource {
                files: vec![],
                split: "train".to_owned(),
                input_field: "text".to_owned(),
                generated_field: None,
                contrast_source_field: None,
                contrast_target_field: None,
                columns: vec![],
            },
            attribution: whence_schemas::AttributionSpec::of_method("saliency"),
            dtype: Dtype::Float32,
            seed: 0,
            shard_tokens: 100,
            run_id: None,
            numerics_version: NUMERICS_VERSION,
        }
    }

    /// Returns a lease of the shard at `index`, as a coordinator sends it.
    pub(crate) fn sent(index: usize) -> v1::Lease {
        let spec = spec();
        let slot = SlotId::of_shard(index);
        v1::Lease {
            attempt: Some(AttemptRef {
                job_id: spec.id().to_string(),
                slot: slot.to_string(),
                attempt: Attempt::of(ulid::Ulid(index as u128)).to_string(),
            }),
            epoch: 3,
            ttl: Duration::from_secs(30).try_into().ok(),
            slot_key: layout::slot(&layout::table(&spec), &slot),
            spec_json: canonical::to_string(&spec).unwrap(),
            rows: 4,
        }
    }

    fn refusal(change: impl FnOnce(&mut v1::Lease)) -> LeaseError {
        let mut lease = sent(0);
        change(&mut lease);
        Lease::try_from(&lease).unwrap_err()
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
    fn a_lease_that_lacks_a_part_is_refused_not_emptied() {
        let missing = refusal(|lease| lease.attempt = None);
        assert_eq!(missing.to_string(), "the lease has no `attempt`");
        let missing = refusal(|lease| lease.ttl = None);
        assert_eq!(missing.to_string(), "the lease has no `ttl`");
        let empty = refusal(|lease| lease.attempt = Some(AttemptRef::default()));
        assert!(matches!(empty, LeaseError::Id(_)), "{empty}");
        let empty = refusal(|lease| lease.rows = 0);
        assert!(matches!(empty, LeaseError::NoRows), "{empty}");
    }

    #[test]
    fn a_lease_that_contradicts_itself_is_refused() {
        let key = refusal(|lease| lease.slot_key = "jobs/x/spec.json".to_owned());
        assert!(matches!(key, LeaseError::OtherKey { .. }), "{key}");
        let other = refusal(|lease| {
            let other = JobSpec { seed: 9, ..spec() };
            lease.spec_json = canonical::to_string(&other).unwrap();
        });
        assert!(matches!(other, LeaseError::OtherJob { .. }), "{other}");
        assert_eq!(other.class(), FailureClass::Internal);
    }

    #[test]
    fn a_specification_of_another_release_fails_the_job_not_the_slot() {
        let newer = refusal(|lease| lease.spec_json = r#"{"novelty": 1}"#.to_owned());
        assert_eq!(newer.class(), FailureClass::Specification);
        assert!(newer.to_string().contains("same release"), "{newer}");
    }

    #[test]
    fn a_lease_that_does_not_live_is_refused() {
        for (seconds, nanos) in [(0, 0), (-5, 0)] {
            let refused =
                refusal(|lease| lease.ttl = Some(prost_types::Duration { seconds, nanos }));
            assert!(matches!(refused, LeaseError::Ttl { .. }), "{refused}");
        }
    }
}
