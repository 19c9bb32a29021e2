//! How much of a pass stays in memory after it.
//!
//! Attribution reads everything again. Generation never goes backward: what it keeps is the keys and
//! values that the next token attends to, so that its memory grows with the length of a text and
//! not with its square.

/// What the trace of a pass holds of each sublayer. The output of the pass has the same bits in
/// every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// Everything that a backward pass needs.
    Everything,
    /// The keys and values, for a pass that continues the sequences.
    KeysAndValues,
    /// Nothing.
    Nothing,
}
