//! Logs the progress of reading a checkpoint.

use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::info;

/// Counts the tensors that were read and logs at every tenth of the total.
#[derive(Debug)]
pub(super) struct LoadProgress {
    tensors: usize,
    read: AtomicUsize,
}

impl LoadProgress {
    /// Starts counting towards a total of `tensors`.
    pub(super) fn over(tensors: usize) -> Self {
        Self {
            tensors,
            read: AtomicUsize::new(0),
        }
    }

    /// Counts one more tensor.
    pub(super) fn advance(&self) {
        let read = self.read.fetch_add(1, Ordering::Relaxed) + 1;
        let tenth = |read: usize| read * 10 / self.tensors.max(1);
        if tenth(read) != tenth(read - 1) {
            info!(read, tensors = self.tensors, "loading the model's tensors");
        }
    }
}
