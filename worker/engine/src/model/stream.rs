//! Places in the residual stream of a stack.

use crate::sides::Side;

/// A place in the residual stream: before a sublayer, or after the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamPlace {
    /// The stack.
    pub side: Side,
    /// Number of sublayers below the place.
    pub sublayer: usize,
}
