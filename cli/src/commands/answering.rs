//! Runs what reads table files, and names the damaged file if one of them cannot be read.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use crate::Failure;
use crate::query::damage::name_damaged;

/// Runs `work` on the tables of `root`.
///
/// The Parquet reader may panic on damaged bytes. That means a damaged file, not a bug.
pub(super) async fn answering<T>(
    root: &str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Err(failure)) if failure.is_about_stored_data() => {
            Err(name_damaged(failure, root).await)
        }
        Ok(answered) => answered,
        Err(panic) => Err(name_damaged(Failure::panicked(panic.as_ref()), root).await),
    }
}
