//! What an encoder gives a decoder.

use candle_core::Tensor;

use crate::model::sequences::Sequences;

/// What the encoder gave the decoder.
#[derive(Debug, Clone)]
pub(in crate::model) struct EncoderOutput {
    /// The encoder's output. `[source rows, hidden]`
    pub(in crate::model) rows: Tensor,
    /// Source `i` belongs to target `i`.
    pub(in crate::model) sequences: Sequences,
}
