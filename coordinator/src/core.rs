//! What all interfaces of a coordinator borrow: its store, settings, epoch, clock and state.

use std::sync::Arc;

use tokio::sync::Semaphore;
use whence_schemas::Epoch;
use whence_schemas::store::SlotStore;

use crate::archive::Archive;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::Error;
use crate::shared::SharedState;
use crate::traces::Traces;

/// Shards that are sent at the same time. Each takes a thread and some MiB.
pub(crate) const SENT_AT_ONCE: usize = 64;

/// The parts of a coordinator that [`Jobs`](crate::Jobs), [`Dispatch`](crate::Dispatch) and
/// [`Reconciler`](crate::Reconciler) share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) store: Arc<dyn SlotStore>,
    pub(crate) config: Config,
    /// The name under which it says that it serves.
    pub(crate) served_as: String,
    pub(crate) epoch: Epoch,
    pub(crate) clock: Clock,
    pub(crate) state: SharedState,
    pub(crate) archive: Archive,
    pub(crate) traces: Traces,
    /// Shards that may be sent at the same time.
    pub(crate) sending: Arc<Semaphore>,
}

impl Core {
    /// Fails if this coordinator must no longer serve: it is draining, or a newer one took over.
    pub(crate) fn serving(&self) -> Result<(), Error> {
        self.state.read(|state| state.serving(self.epoch))
    }
}
