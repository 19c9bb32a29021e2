//! Checks a job's table: whether every file is there, whole, and the one that the job made.

use futures::{StreamExt, stream};
use whence_coordinator::durable::manifest::Manifest;
use whence_coordinator::durable::{Expected, Found, verify};
use whence_schemas::{JobId, layout};

use crate::Failure;
use crate::results::{Results, get};

/// Files read at the same time. Each may have some hundred MiB.
const AT_ONCE: usize = 4;

/// What was found about a table.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verification {
    /// Files that are whole.
    pub(crate) files: u64,
    /// Their length.
    pub(crate) bytes: u64,
    /// Whether the job is complete, so that every file is known.
    pub(crate) is_sealed: bool,
    /// What is wrong, file by file.
    pub(crate) problems: Vec<String>,
}

impl Verification {
    /// Fails if anything is wrong, and says what.
    pub(crate) fn check(&self, job: &JobId) -> Result<(), Failure> {
        let Some((first, others)) = self.problems.split_first() else {
            return Ok(());
        };
        let more = match others.len() {
            0 => String::new(),
            count => format!(", and {count} more"),
        };
        let told = format!("the table of job {job} is not whole: {first}{more}");
        let hint = "restore the files, or compute the job again with another --run-id";
        Err(Failure::run(told).hint(hint))
    }
}

/// Reads every file of a job's table. Fails only if the store fails.
pub(crate) async fn verification(results: &Results) -> Result<Verification, Failure> {
    let store = results.store();
    let manifest: Option<Manifest> = get(store, &layout::sealed(results.id())).await?;
    let folder = layout::table(results.spec());
    let listed = store.list(&folder).await?;
    let mut files: Vec<(String, Option<String>)> = listed
        .iter()
        .map(|object| (object.key.clone(), None))
        .collect();
    let mut verification = Verification {
        is_sealed: manifest.is_some(),
        bytes: listed.iter().map(|object| object.bytes).sum(),
        ..Verification::default()
    };
    if let Some(manifest) = manifest {
        let is_known = |key: &str| manifest.files.iter().any(|file| file.key == key);
        let unknown = files.iter().filter(|(key, _)| !is_known(key));
        let unknown = unknown.map(|(key, _)| format!("`{key}` is not of this job"));
        verification.problems.extend(unknown);
        let of_job = manifest.files.into_iter();
        files = of_job.map(|file| (file.key, Some(file.digest))).collect();
    }
    let checks = files
        .into_iter()
        .map(|(key, digest)| check(results, key, digest));
    let mut checks = stream::iter(checks).buffered(AT_ONCE);
    while let Some(checked) = checks.next().await {
        match checked? {
            None => verification.files += 1,
            Some(problem) => verification.problems.push(problem),
        }
    }
    Ok(verification)
}

/// Checks one file, whose digest may be on record. Returns what is wrong with it.
async fn check(
    results: &Results,
    key: String,
    digest: Option<String>,
) -> Result<Option<String>, Failure> {
    let Some(slot) = layout::slot_of_key(&key) else {
        return Ok(Some(format!("`{key}` is not named like a table file")));
    };
    let Some(rows) = results.plan().rows(&slot) else {
        return Ok(Some(format!("`{key}` is no slot of this job")));
    };
    let expected = Expected {
        key: key.clone(),
        slot,
        spec_json: results.spec().canonical_json(),
        rows,
        seen: None,
    };
    let recorded = digest.filter(|digest| !digest.is_empty());
    Ok(match verify(results.store(), expected).await? {
        Found::Nothing => Some(format!("`{key}` is missing")),
        Found::Damaged(reason) => Some(format!("`{key}` is damaged: {reason}")),
        Found::Whole(found) if recorded.as_ref().is_some_and(|digest| *digest != found) => Some(
            format!("`{key}` is not the file that was sealed: its digest is another"),
        ),
        Found::Whole(_) | Found::Other(_) => None,
    })
}
