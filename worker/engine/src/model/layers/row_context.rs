//! What a sublayer needs to know about the rows of a pass.

use crate::kernels::rotary::{Rotation, RowPosition};
use crate::kernels::score_bias::ScoreBias;
use crate::model::kept::Kept;
use crate::model::sequences::Sequences;
use crate::stop::Stop;

/// What a sublayer needs to know about the rows of a pass.
pub(in crate::model) struct RowContext<'a> {
    pub(in crate::model) sequences: &'a Sequences,
    /// Position of each row in its sequence. If the pass continues an earlier one, positions count
    /// from the start of that one.
    pub(in crate::model) positions: &'a [RowPosition],
    /// Rotations of the stack; attentions refer to them by index.
    pub(in crate::model) rotations: &'a [Rotation],
    /// Score biases of the stack; attentions refer to them by index.
    pub(in crate::model) score_biases: &'a [ScoreBias],
    /// What stays in memory of each sublayer.
    pub(in crate::model) kept: Kept,
    /// Cancels the pass.
    pub(in crate::model) stop: &'a Stop,
}
