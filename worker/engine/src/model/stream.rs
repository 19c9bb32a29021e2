//! Places in the residual stream of a stack, between its sublayers.

use crate::sides::Side;

/// A place in the residual stream: in front of sublayer `sublayer`, or behind the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamPlace {
    /// The stack.
    pub side: Side,
    /// Number of sublayers below.
    pub sublayer: usize,
}
