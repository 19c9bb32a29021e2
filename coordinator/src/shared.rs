//! The state behind its one lock, and waking whoever waits for a change of it.
//!
//! The lock is never held across an await: every use of it is a function from state to value.

use std::sync::{Mutex, MutexGuard};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::state::State;

/// The state that everything shares.
#[derive(Debug)]
pub(crate) struct SharedState {
    state: Mutex<State>,
    /// Counts changes of the state; whoever waits for something waits for the next one.
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

    /// Changes the state and wakes whoever waits for a change.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        self.change_if(|state| (change(state), true))
    }

    /// Changes the state; wakes whoever waits only if `change` says that anything changed.
    pub(crate) fn change_if<T>(&self, change: impl FnOnce(&mut State) -> (T, bool)) -> T {
        let (value, has_changed) = change(&mut self.lock());
        if has_changed {
            self.changes.send_modify(|count| *count += 1);
        }
        value
    }

    /// Returns what to wait with for the next change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the state panics")
    }
}

/// Waits for a change after `changes` was last looked at, or until `until`.
pub(crate) async fn changed(changes: &mut watch::Receiver<u64>, until: Instant) {
    // The sender lives as long as the coordinator, so only time or a change ends this.
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
