//! The shared state behind its one lock, and notifications for tasks that wait for it to change.
//!
//! The lock is never held across an await, because callers pass in a synchronous closure that
//! reads or changes the state.

use std::sync::{Mutex, MutexGuard};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::state::State;

/// The state that all requests and the background work share.
#[derive(Debug)]
pub(crate) struct SharedState {
    state: Mutex<State>,
    /// The number of changes so far. Waiting tasks are woken when it goes up.
    changes: watch::Sender<u64>,
}

impl SharedState {
    pub(crate) fn new(state: State) -> Self {
        Self {
            state: Mutex::new(state),
            changes: watch::Sender::new(0),
        }
    }

    /// Reads the state.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.lock())
    }

    /// Changes the state and wakes every task that waits for a change.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        self.change_if(|state| (change(state), true))
    }

    /// Runs `change` on the state. Wakes waiting tasks only if the returned flag says that
    /// something changed.
    pub(crate) fn change_if<T>(&self, change: impl FnOnce(&mut State) -> (T, bool)) -> T {
        let (value, has_changed) = change(&mut self.lock());
        if has_changed {
            self.changes.send_modify(|count| *count += 1);
        }
        value
    }

    /// Returns a receiver to wait for the next change with; see [`changed`].
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the state panics")
    }
}

/// Waits until the state changes after `changes` was last marked unchanged, or until `until`.
pub(crate) async fn changed(changes: &mut watch::Receiver<u64>, until: Instant) {
    // The sender lives as long as the coordinator, so this ends only by a change or at `until`.
    let _ = tokio::time::timeout_at(until, changes.changed()).await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_change_wakes_who_waits_and_reading_does_not() {
        let shared = SharedState::new(State::default());
        let mut changes = shared.changes();
        changes.mark_unchanged();
        let start = Instant::now();
        let until = start + Duration::from_mins(1);
        shared.change(|state| state.is_draining = true);
        changed(&mut changes, until).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(shared.read(|state| state.is_draining));
        shared.change_if(|_| ((), false));
        changed(&mut changes, until).await;
        assert_eq!(start.elapsed(), Duration::from_mins(1));
    }
}
