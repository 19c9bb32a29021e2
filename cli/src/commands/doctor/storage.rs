//! `whence doctor storage`: whether a store keeps the promise that tables rest on.

use std::time::Duration;

use whence_schemas::store::{self, Examination, StoreError};

use crate::args::StorageCheck;
use crate::{Failure, output};

/// Examines the store and prints each check.
///
/// Fails if the store must not be used, or does not answer.
pub(super) async fn run(arguments: &StorageCheck) -> Result<(), Failure> {
    let store = store::open(&arguments.url)?;
    output::line(&format!("store        {}", store.url()))?;
    if let Some(credentials) = store.credentials() {
        output::line(&format!("credentials  {credentials}"))?;
    }
    let Examination {
        folder,
        passed,
        failed,
    } = store::examine(store.as_ref()).await;
    for check in &passed {
        output::line(&format!(
            "ok           {} ({})",
            check.what,
            milliseconds(check.took)
        ))?;
    }
    if let Some((what, _)) = &failed {
        output::line(&format!("FAILED       {what}"))?;
    }
    // Whoever could not create the first object left nothing behind.
    let is_unsafe = matches!(failed, Some((_, StoreError::Unsafe { .. })));
    if !passed.is_empty() || is_unsafe {
        output::line(&format!(
            "left behind  what was written is in `{folder}`; whence deletes nothing, and reads nothing \
             from there"
        ))?;
    }
    match failed {
        None => {
            output::line("verdict      it creates each object only once, and lists it immediately")
        }
        Some((_, error)) => Err(refusal(error)),
    }
}

fn refusal(error: StoreError) -> Failure {
    let is_unsafe = matches!(error, StoreError::Unsafe { .. });
    let failure = Failure::from(error);
    if is_unsafe {
        return failure.hint(
            "use a store that honors conditional puts, such as Amazon S3, Google Cloud Storage, Azure \
             Blob Storage or a local file system",
        );
    }
    failure
}

fn milliseconds(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1000.0)
}
