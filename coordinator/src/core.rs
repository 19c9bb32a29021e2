//! What every door of a coordinator borrows: its store, its settings, its clock, its state.

use std::sync::Arc;

use whence_schemas::Epoch;
use whence_schemas::store::SlotStore;

use crate::clock::Clock;
use crate::config::Config;
use crate::error::Error;
use crate::shared::SharedState;

/// The parts of a coordinator.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) store: Arc<dyn SlotStore>,
    pub(crate) config: Config,
    pub(crate) epoch: Epoch,
    pub(crate) clock: Clock,
    pub(crate) state: SharedState,
}

impl Core {
    /// Fails if this coordinator must not serve any more.
    pub(crate) fn serving(&self) -> Result<(), Error> {
        self.state.read(|state| state.serving(self.epoch))
    }
}
