//! A panic in a task is a bug of ours that fails the attempt, as any failure does.
//!
//! Were it let through, the task would end without a word while its lease is renewed for ever, and
//! the job would never end.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use crate::error::Failure;

/// Runs `task`; a panic in it becomes [`Failure::Panicked`].
pub(crate) async fn caught<T>(
    task: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    // Nothing a task changes outlives it, but counters of its progress.
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
