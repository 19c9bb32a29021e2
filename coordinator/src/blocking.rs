//! Runs work that may block or panic on its own thread, away from the threads that serve requests.

use crate::error::Error;

/// Runs `work` on a blocking thread. A panic in it becomes an error that names `action`.
pub(crate) async fn blocking<T: Send + 'static>(
    action: &str,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(Error::Internal(format!("{action}: {panic}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_fails_the_request_and_says_what_was_being_done() {
        let rows: Vec<u32> = Vec::new();
        let failed = blocking("plan the job", move || Ok(rows[3])).await;
        let message = failed.unwrap_err().to_string();
        assert!(message.contains("plan the job"), "{message}");
    }
}
