//! The function that is attributed, with what it reads beside the model's output.

use candle_core::Tensor;
use whence_schemas::Compat;

use crate::step_functions::StepFunction;

/// What is attributed, or recorded: a step function, and what it needs beside the model's output.
#[derive(Debug, Clone)]
pub(crate) struct AttributedFunction<'a> {
    /// The function.
    pub(crate) function: &'a dyn StepFunction,
    /// Whose definitions count.
    pub(crate) compat: Compat,
    /// Input of the head after each contrast's own prefix; `None` where the contrast's token is
    /// looked up in the step's own prediction. Passes of `Batch::forward` compute it anew, with the
    /// inputs it shares; elsewhere it stays. `[contrasted steps, hidden]`
    pub(crate) contrast: Option<Tensor>,
}

impl AttributedFunction<'_> {
    /// Returns how many predictions of a step are read, those of contrasts left out.
    pub(crate) fn num_predictions(&self) -> usize {
        1 + self.function.dropout_passes()
    }
}
