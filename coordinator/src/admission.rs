//! What a job must be to be submitted.

use whence_schemas::JobSpec;
use whence_schemas::job::NUMERICS_VERSION;

use crate::Error;
use crate::access::Bounds;
use crate::access::places::{self, Place};

/// Longest specification. It is part of every lease, of which up to 16 are in one message, and of every
/// table file.
const MOST_SPEC_BYTES: usize = 768 << 10;

/// Fails if no coordinator of this release can run the job, if it names something that is neither within
/// `allowed` nor within `bounds`, or if it is too long.
pub(crate) fn check(spec: &JobSpec, allowed: &[Place], bounds: &Bounds) -> Result<(), Error> {
    check_numerics(spec)?;
    check_is_computed(spec)?;
    check_length(spec)?;
    check_is_allowed(spec, allowed)?;
    check_is_allowed(spec, &bounds.allowed)
}

/// Fails if the job asks for other numbers than workers of this release compute.
pub(crate) fn check_numerics(spec: &JobSpec) -> Result<(), Error> {
    if spec.numerics_version == NUMERICS_VERSION {
        return Ok(());
    }
    Err(Error::Specification {
        reason: format!(
            "it asks for numerics version {}, this coordinator serves {NUMERICS_VERSION}; \
             use the same release of whence on both sides",
            spec.numerics_version
        ),
    })
}

/// Fails if the job's table is made of other tables, which no worker can do.
fn check_is_computed(spec: &JobSpec) -> Result<(), Error> {
    if spec.derived_from.is_none() {
        return Ok(());
    }
    Err(Error::Specification {
        reason: "its table is made of others, by `whence aggregate`; a coordinator cannot run it"
            .to_owned(),
    })
}

/// Fails if the job, which is not in the store, retries another one: its table begins with copies, which
/// submitting does not make.
pub(crate) fn check_is_no_retry(spec: &JobSpec) -> Result<(), Error> {
    let Some(of) = &spec.retry_of else {
        return Ok(());
    };
    Err(Error::Specification {
        reason: format!("it computes failed rows of `{of}` again; use `whence retry {of}`"),
    })
}

/// Fails if the specification is too long, which takes many names of files or many texts.
fn check_length(spec: &JobSpec) -> Result<(), Error> {
    let length = spec.canonical_json().len();
    if length <= MOST_SPEC_BYTES {
        return Ok(());
    }
    let files = spec.dataset.location.data_files.len();
    let instead = if files > 1 {
        format!("it names {files} data files; give a pattern, such as `/data/*.jsonl`")
    } else {
        "put its texts into a file, and attribute that as a dataset".to_owned()
    };
    Err(Error::Specification {
        reason: format!(
            "its description has {} KiB, more than {} KiB: {instead}",
            length >> 10,
            MOST_SPEC_BYTES >> 10
        ),
    })
}

/// Fails if the job names something outside the places that jobs may name. Says nothing about what is
/// there.
fn check_is_allowed(spec: &JobSpec, allowed: &[Place]) -> Result<(), Error> {
    let Some(name) = places::outside(spec, allowed) else {
        return Ok(());
    };
    Err(Error::Specification {
        reason: format!(
            "`{name}` is outside the places that jobs may name here (--allow of the coordinator)"
        ),
    })
}

/// Fails if a job has more rows than its tenant's jobs may have.
pub(crate) fn check_rows(rows: u64, most: Option<u64>) -> Result<(), Error> {
    match most {
        Some(most) if rows > most => Err(Error::Specification {
            reason: format!(
                "it has {rows} rows, and jobs of your team may have {most}; take fewer, such as \
                 `--split 'train[:{most}]'`"
            ),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::spec;

    #[test]
    fn a_job_that_names_files_without_end_is_refused_with_what_to_do() {
        let mut many = spec("m");
        let check = |spec: &JobSpec| check(spec, &[], &Bounds::default());
        assert!(check(&many).is_ok());
        let files = (0..80_000).map(|number| format!("/data/part-{number:06}.jsonl"));
        many.dataset.location.data_files = files.collect();
        let refused = check(&many).unwrap_err().to_string();
        assert!(
            refused.contains("names 80000 data files; give a pattern"),
            "{refused}"
        );
        many.dataset.location.data_files = vec!["x".repeat(MOST_SPEC_BYTES)];
        let refused = check(&many).unwrap_err().to_string();
        assert!(refused.contains("more than 768 KiB"), "{refused}");
    }

    #[test]
    fn a_job_stays_within_the_bounds_of_its_team() {
        let mut inside = spec("m");
        inside.model.path = "hf://nlp/model@0".to_owned();
        let bounds = Bounds {
            most_rows: Some(10),
            allowed: vec!["hf://nlp/".parse().unwrap()],
        };
        assert!(check(&inside, &[], &bounds).is_ok());
        inside.model.path = "hf://web/model@0".to_owned();
        let refused = check(&inside, &[], &bounds).unwrap_err().to_string();
        assert!(
            refused.contains("`hf://web/model@0` is outside"),
            "{refused}"
        );
        assert!(check_rows(10, bounds.most_rows).is_ok());
        let refused = check_rows(11, bounds.most_rows).unwrap_err().to_string();
        assert!(refused.contains("may have 10"), "{refused}");
    }
}
