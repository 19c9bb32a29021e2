//! Stops a computation from outside.
//!
//! A pass checks for a stop request between sublayers. So every method ends soon after the request,
//! whatever it is doing: chunks, path points, masked variants, trials or generated tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Result;

/// A stop request, shared between whoever asks and the computations. It cannot be withdrawn.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks every computation that holds a clone of this to end.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether a stop was requested.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails if a stop was requested. The error never leaves the engine: an attributor that was
    /// asked to stop returns [`crate::Error::Stopped`].
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_requested() {
            return Err(candle_core::Error::Msg("stopped".to_owned()));
        }
        Ok(())
    }
}
