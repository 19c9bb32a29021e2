//! Catches panics of tasks. A panic is a bug in whence, and it fails the attempt like any other
//! failure.
//!
//! Without this, a task that panics would end silently while its lease is renewed forever, and the
//! job would never end.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use crate::error::Failure;

/// Runs `task` and turns a panic in it into [`Failure::Panicked`].
pub(crate) async fn caught<T>(
    task: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    // Unwind safe, because nothing that a task changes outlives it, except for counters of its
    // progress.
    let ended = AssertUnwindSafe(task).catch_unwind().await;
    ended.unwrap_or_else(|panic| Err(Failure::Panicked(message(panic.as_ref()))))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use whence_proto::v1::FailureClass;

    use super::*;

    #[tokio::test]
    async fn a_panic_fails_the_attempt_and_says_what_it_said() {
        let rows: Vec<u32> = Vec::new();
        let failure = caught(async { Ok(rows[3]) }).await.unwrap_err();
        assert_eq!(failure.class(), FailureClass::Internal);
        assert!(failure.to_string().contains("index is 3"), "{failure}");
        assert_eq!(caught(async { Ok(1) }).await.unwrap(), 1);
    }
}
