//! (pending)
/// Pending.
#[derive(Debug)]
pub struct RemoteSlotStore;
