//! How much of a checkpoint was read, for the log.

use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::info;

/// How much of a checkpoint was read. Tells the log at each tenth.
#[derive(Debug)]
pub(super) struct LoadProgress {
    tensors: usize,
    read: AtomicUsize,
}

impl LoadProgress {
    /// Starts with none of `tensors` read.
    pub(super) fn over(tensors: usize) -> Self {
        Self {
            tensors,
            read: AtomicUsize::new(0),
        }
    }

    /// Counts one more.
    pub(super) fn advance(&self) {
        let read = self.read.fetch_add(1, Ordering::Relaxed) + 1;
        let tenth = |read: usize| read * 10 / self.tensors.max(1);
        if tenth(read) != tenth(read - 1) {
            info!(read, tensors = self.tensors, "loading the model's tensors");
        }
    }
}
