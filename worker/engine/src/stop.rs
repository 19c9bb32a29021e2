//! Stopping a computation from outside.
//!
//! A pass asks between two sublayers, so that whatever a method does (chunks, points of a path,
//! masked variants, trials, generated tokens) it ends soon after somebody asked for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Result;

/// A request to stop, shared by who asks and who computes. Once requested it stays so.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks every computation that was given this to end.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether somebody asked.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails if somebody asked. What it fails with never leaves the engine: an attributor that was
    /// asked to stop answers [`crate::Error::Stopped`].
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_requested() {
            return Err(candle_core::Error::Msg("stopped".to_owned()));
        }
        Ok(())
    }
}
