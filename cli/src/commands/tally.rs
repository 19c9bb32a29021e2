//! What became of the texts that were typed: shows each result, and concludes with what failed.

use whence_engine::Attribution;
use whence_schemas::RowId;

use super::artifacts::Files;
use super::drawing::draw;
use crate::args::DisplayOptions;
use crate::output::counted;
use crate::{Failure, viz};

/// The number of attributed sequences, and the failures of the others.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) attributed: u64,
    pub(super) failures: Vec<(RowId, Failure)>,
}

impl Tally {
    /// Completes the files if at least one sequence was attributed. Fails if any sequence could not
    /// be attributed.
    pub(super) fn conclude(self, files: Files) -> Result<(), Failure> {
        if self.attributed > 0 {
            files.finish()?;
        }
        if let ([(_, failure)], 0) = (&self.failures[..], self.attributed) {
            return Err(failure.clone());
        }
        for (id, failure) in &self.failures {
            eprintln!("{id}: {}", failure.message());
        }
        let failed = self.failures.len() as u64;
        match (failed, self.attributed) {
            (0, _) => Ok(()),
            (_, 0) => Err(Failure::run("none of the texts could be attributed")),
            (_, attributed) => Err(Failure::run(format!(
                "{failed} of {} could not be attributed",
                counted(failed + attributed, "text")
            ))),
        }
    }
}

/// Shows the heatmaps of an attribution, unless they are hidden.
pub(super) fn show(
    attribution: &Attribution,
    step_scores: &[String],
    display: &DisplayOptions,
) -> Result<(), Failure> {
    if display.hide_attributions {
        return Ok(());
    }
    let heatmaps = viz::heatmaps(attribution, step_scores);
    draw(&heatmaps, display.pictures)
}
