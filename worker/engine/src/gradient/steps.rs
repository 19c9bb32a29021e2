//! Steps cut into chunks of bounded size, and gradients cut into those of steps.

use std::ops::Range;

use candle_core::Tensor;

use crate::batch::ExplainedStep;
use crate::compute::PieceSizes;
use crate::error::Result;
use crate::model::Gradients;

/// The gradient of one step's function. `[tokens, hidden]` each.
#[derive(Debug, Clone)]
pub(crate) struct StepGradient {
    /// With respect to the source embeddings.
    pub(crate) source: Option<Tensor>,
    /// With respect to the embeddings of the prefix.
    pub(crate) target: Option<Tensor>,
}

/// Returns runs of steps whose backward passes have about equally many rows, no more than a chunk of
/// `sizes`, and equally many runs for every lane, so that none waits for the last.
pub(crate) fn chunks(steps: &[ExplainedStep], sizes: PieceSizes) -> Vec<Range<usize>> {
    let total: usize = steps.iter().map(ExplainedStep::rows).sum();
    let count = total.div_ceil(sizes.chunk_rows);
    let count = count.next_multiple_of(sizes.lanes);
    let mut before = 0;
    let chunk_of = steps.iter().map(|step| {
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

/// Cuts the gradients of `steps`, which lie one after another, into those of each step.
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
