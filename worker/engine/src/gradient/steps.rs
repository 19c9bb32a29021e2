//! Splits steps into chunks of bounded size, and gradients by step.

use std::ops::Range;

use crate::batch::ExplainedStep;
use crate::compute::PieceSizes;
use crate::error::Result;
use crate::kernels::Tensor;
use crate::model::Gradients;

/// The gradient of one step's function. `[tokens, hidden]` each.
#[derive(Debug, Clone)]
pub(crate) struct StepGradient {
    /// With respect to the source embeddings.
    pub(crate) source: Option<Tensor>,
    /// With respect to the embeddings of the prefix.
    pub(crate) target: Option<Tensor>,
}

/// Splits steps into runs whose backward passes have about the same number of rows, about
/// `chunk_rows` of `sizes` at most. The number of runs is a multiple of the number of lanes, so
/// that no lane idles while another works on the last run.
pub(crate) fn chunks(steps: &[ExplainedStep], sizes: PieceSizes) -> Vec<Range<usize>> {
    let total: usize = steps.iter().map(ExplainedStep::rows).sum();
    let count = total.div_ceil(sizes.chunk_rows);
    let count = count.next_multiple_of(sizes.lanes);
    let mut before = 0;
    let chunk_of = steps.iter().map(|step| {
        // A step goes to the chunk in which its middle row lies, which balances the rows of the
        // chunks.
        let middle = before + step.rows() / 2;
        before += step.rows();
        middle * count / total.max(1)
    });
    let chunk_of: Vec<_> = chunk_of.collect();
    let runs = chunk_of.chunk_by(|one, next| one == next);
    let mut end = 0;
    runs.map(|run| {
        end += run.len();
        end - run.len()..end
    })
    .collect()
}

/// Splits the gradients of `steps`, which lie one after another, by step.
pub(super) fn cut(steps: &[ExplainedStep], gradients: &Gradients) -> Result<Vec<StepGradient>> {
    let (mut source_row, mut target_row) = (0, 0);
    let piece = |rows: &Option<Tensor>, start: &mut usize, len: usize| -> Result<Option<Tensor>> {
        let piece = rows
            .as_ref()
            .map(|rows| rows.narrow(0, *start, len))
            .transpose()?;
        *start += len;
        Ok(piece)
    };
    steps
        .iter()
        .map(|step| {
            Ok(StepGradient {
                source: piece(&gradients.source, &mut source_row, step.source_rows)?,
                target: piece(&gradients.target, &mut target_row, step.target_rows())?,
            })
        })
        .collect()
}
