//! (pending)
/// Pending.
#[derive(Debug)]
pub struct LocalSlotStore;
