//! Tells whoever wants to know how much arrives over the network.
//!
//! One listener for the process, as there is one terminal: files are opened in many places, most of
//! which have no way to pass a listener on.

use std::sync::{Arc, PoisonError, RwLock};

use whence_hub::Transfer;

/// Bytes of a data file that have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival<'a> {
    /// A part of a file that is downloaded as a whole.
    Download(Transfer<'a>),
    /// A range of a file that is read in parts, as they are needed.
    Range {
        /// The name of the file.
        file: &'a str,
        /// How many bytes the range has.
        num_bytes: u64,
    },
}

/// Called for everything that arrives.
pub type OnArrival = Arc<dyn Fn(Arrival<'_>) + Send + Sync>;

static LISTENER: RwLock<Option<OnArrival>> = RwLock::new(None);

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Listening(());

/// Calls `listener` for all bytes of data files that arrive over the network from now on. It takes
/// the place of another one.
pub fn listen(listener: OnArrival) -> Listening {
    *LISTENER.write().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    Listening(())
}

impl Drop for Listening {
    fn drop(&mut self) {
        *LISTENER.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Says that bytes of a file have arrived.
pub(crate) fn note(arrival: Arrival<'_>) {
    let listener = LISTENER.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(listener) = &*listener {
        listener(arrival);
    }
}
