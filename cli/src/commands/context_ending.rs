//! What is printed and written once a job about contexts has ended.

use whence_worker::table::ContextRow;

use super::artifacts::finished;
use super::drawing::draw_context;
use super::ending::{ended_well, tell_failed_rows, tell_table};
use super::running::Ended;
use crate::args::ContextTableOutput;
use crate::output::counted;
use crate::output_file::OutputFile;
use crate::output_pair::{OutputPair, Shown};
use crate::results::Results;
use crate::viz::context::{ContextView, Description};
use crate::{Failure, context_file};

/// Prints how the job ended and writes the requested file. Fails if the job is not sealed, or if
/// none of its rows could be analyzed.
pub(super) async fn conclude(
    ended: &Ended,
    results: &Results,
    display: &ContextTableOutput,
) -> Result<(), Failure> {
    let status = &ended.status;
    ended_well(status)?;
    tell_failed_rows(status, results).await?;
    if display.shows() || status.rows_failed == status.rows_total {
        let Some(first) = results.first_analyzed().await? else {
            return Err(Failure::run(format!(
                "none of the {} could be analyzed",
                counted(status.rows_total, "row")
            )));
        };
        if let Some(view) = view(results, &first).filter(|_| display.shows()) {
            draw_context(&view)?;
        }
    }
    write(results, display).await?;
    tell_table(&ended.shown_root, status);
    Ok(())
}

/// Creates the file that was asked for.
pub(super) fn target(display: &ContextTableOutput) -> Result<Option<OutputFile>, Failure> {
    let shown = Shown {
        what: "does what is shown",
        hint: "add --no-show-viz",
    };
    let shown = display.shows().then_some(shown);
    Ok(OutputPair::create(display.save_path.as_deref(), None, shown)?.saved)
}

/// Writes the file with every analyzed row. Reads the table slot by slot, so memory stays bounded.
async fn write(results: &Results, display: &ContextTableOutput) -> Result<(), Failure> {
    let (Some(mut file), Some(path)) = (target(display)?, &display.save_path) else {
        return Ok(());
    };
    for slot in results.slots().await? {
        for row in results.context_rows(&slot).await? {
            if let Ok(attribution) = &row.result {
                context_file::write_line(&mut file, row.id, attribution)?;
            }
        }
    }
    finished(file, path)
}

/// Returns what is shown of a row; `None` for an error row.
pub(super) fn view(results: &Results, row: &ContextRow) -> Option<ContextView> {
    let attribution = row.result.as_ref().ok()?;
    let spec = results.spec();
    let options = spec.context.as_ref()?;
    let description = Description {
        model: spec.model.path.clone(),
        metric: options.metric.label().to_owned(),
        method: spec.attribution.method.label().to_owned(),
        function: spec.attribution.attributed_fn.label().to_owned(),
        input_current: row.input_text.clone().unwrap_or_default(),
        sensitivity: options.sensitivity,
        cues: options.cues,
    };
    Some(ContextView::new(attribution, description))
}
