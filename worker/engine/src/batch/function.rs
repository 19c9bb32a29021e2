//! The attributed function, with what it reads besides the model's output.

use whence_schemas::Compat;

use crate::kernels::Tensor;
use crate::step_functions::StepFunction;

/// A step function that is attributed or recorded, with what it needs besides the model's output.
#[derive(Debug, Clone)]
pub(crate) struct AttributedFunction<'a> {
    /// The step function.
    pub(crate) function: &'a dyn StepFunction,
    /// Whether Inseq's definition applies where it differs from the usual one.
    pub(crate) compat: Compat,
    /// Inputs of the head after each contrast's own prefix; `None` if the contrast's token is
    /// looked up in the step's own prediction. `Batch::forward` recomputes them for the inputs that
    /// the example shares with its contrast; everywhere else they are constant.
    /// `[contrasted steps, hidden]`
    pub(crate) contrast: Option<Tensor>,
}

impl AttributedFunction<'_> {
    /// Returns how many predictions the function reads per step, not counting the contrast's: one
    /// from the usual pass and one per pass with dropout.
    pub(crate) fn num_predictions(&self) -> usize {
        1 + self.function.dropout_passes()
    }
}
