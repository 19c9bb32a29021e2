//! (pending)
/// Pending.
pub fn probe() {}
