//! The encoder's output, as the decoder reads it.

use crate::kernels::Tensor;
use crate::model::sequences::Sequences;

/// The encoder's output for a batch.
#[derive(Debug, Clone)]
pub(in crate::model) struct EncoderOutput {
    /// The output rows. `[source rows, hidden]`
    pub(in crate::model) rows: Tensor,
    /// Where each source is in `rows`. Source `i` belongs to target `i`.
    pub(in crate::model) sequences: Sequences,
}
