//! The running tasks: their progress for heartbeats, and their stop signals.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio_util::sync::CancellationToken;
use whence_proto::v1::{AttemptProgress, AttemptRef};
use whence_schemas::Attempt;

use crate::lease::Lease;
use crate::task::TaskProgress;

/// The running tasks by attempt. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct RunningTasks(Arc<Mutex<BTreeMap<Attempt, RunningTask>>>);

/// One running task: its attempt, its progress, and the token that stops it.
#[derive(Debug, Clone)]
pub(super) struct RunningTask {
    at: AttemptRef,
    pub(super) progress: Arc<TaskProgress>,
    pub(super) stop: CancellationToken,
}

impl RunningTasks {
    /// Adds a task for `lease` and returns its handles.
    pub(super) fn start(&self, lease: &Lease) -> RunningTask {
        let task = RunningTask {
            at: lease.attempt_ref(),
            progress: Arc::default(),
            stop: CancellationToken::new(),
        };
        self.lock().insert(lease.attempt.clone(), task.clone());
        task
    }

    /// Removes a task that has ended.
    pub(super) fn end(&self, attempt: &Attempt) {
        self.lock().remove(attempt);
    }

    /// Returns the references of the running attempts, as protocol messages name them.
    pub(super) fn attempts(&self) -> Vec<AttemptRef> {
        let tasks = self.lock();
        tasks.values().map(|task| task.at.clone()).collect()
    }

    /// Returns the progress of each task.
    pub(super) fn progress(&self) -> Vec<AttemptProgress> {
        let of_task = |task: &RunningTask| AttemptProgress {
            attempt: Some(task.at.clone()),
            rows_done: task.progress.rows.load(Ordering::Relaxed),
            tokens_done: task.progress.tokens.load(Ordering::Relaxed),
            uploading: task.progress.is_uploading.load(Ordering::Relaxed),
        };
        self.lock().values().map(of_task).collect()
    }

    /// Stops the named attempts that are running here. Others are ignored: they may have just
    /// ended.
    pub(super) fn stop(&self, attempts: &[AttemptRef]) {
        let tasks = self.lock();
        let named = attempts.iter().filter_map(|at| at.attempt.parse().ok());
        for task in named.filter_map(|attempt: Attempt| tasks.get(&attempt)) {
            task.stop.cancel();
        }
    }

    /// Stops all tasks.
    pub(super) fn stop_all(&self) {
        for task in self.lock().values() {
            task.stop.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Attempt, RunningTask>> {
        self.0.lock().expect("no holder panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sent;

    fn lease(index: usize) -> Lease {
        Lease::try_from(&sent(index)).unwrap()
    }

    #[test]
    fn only_the_named_attempt_is_stopped() {
        let running = RunningTasks::default();
        let tasks = [1, 2].map(|index| running.start(&lease(index)));
        let unknown = AttemptRef {
            attempt: "not an attempt".to_owned(),
            ..AttemptRef::default()
        };
        running.stop(&[lease(2).attempt_ref(), lease(3).attempt_ref(), unknown]);
        let stopped = tasks.each_ref().map(|task| task.stop.is_cancelled());
        assert_eq!(stopped, [false, true]);
        running.stop_all();
        assert!(tasks[0].stop.is_cancelled());
    }

    #[test]
    fn progress_is_what_the_tasks_counted() {
        let running = RunningTasks::default();
        let task = running.start(&lease(1));
        task.progress.rows.fetch_add(3, Ordering::Relaxed);
        task.progress.tokens.fetch_add(70, Ordering::Relaxed);
        let expected = AttemptProgress {
            attempt: Some(lease(1).attempt_ref()),
            rows_done: 3,
            tokens_done: 70,
            uploading: false,
        };
        assert_eq!(running.progress(), [expected]);
    }

    #[test]
    fn a_task_that_ended_is_told_of_no_more() {
        let running = RunningTasks::default();
        running.start(&lease(1));
        running.start(&lease(2));
        running.end(&lease(1).attempt);
        assert_eq!(running.attempts(), [lease(2).attempt_ref()]);
    }
}
