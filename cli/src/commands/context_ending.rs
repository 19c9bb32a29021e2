//! What is printed and written once a job about contexts has ended.

use whence_schemas::JobSpec;
use whence_worker::table::ContextRow;

use super::artifacts::finished;
use super::drawing::draw_context;
use super::ending::{ended_well, tell_failed_rows, tell_table};
use super::running::Ended;
use crate::args::ContextTableOutput;
use crate::output::counted;
use crate::output_pair::{OutputPair, Shown};
use crate::results::Results;
use crate::viz::context::{ContextView, Description, Page};
use crate::{Failure, context_file};

/// Prints how the job ended and writes the requested files. Fails if the job is not sealed, or if
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

/// Creates the files that were asked for.
pub(super) fn targets(display: &ContextTableOutput) -> Result<OutputPair, Failure> {
    let shown = Shown {
        what: "does what is shown",
        hint: "add --no-show-viz",
    };
    let shown = display.shows().then_some(shown);
    let (saved, page) = (display.save_path.as_deref(), display.viz_path.as_deref());
    OutputPair::create(saved, page, shown)
}

/// Writes the files with every analyzed row. Reads the table slot by slot, so memory stays bounded.
async fn write(results: &Results, display: &ContextTableOutput) -> Result<(), Failure> {
    let OutputPair { mut saved, page } = targets(display)?;
    let described = description(results.spec(), String::new());
    let mut page = match (page, described) {
        (Some(file), Some(described)) => Some(Page::begin(file, &described)?),
        _ => None,
    };
    if saved.is_none() && page.is_none() {
        return Ok(());
    }
    for slot in results.slots().await? {
        for row in results.context_rows(&slot).await? {
            if let (Some(file), Ok(attribution)) = (&mut saved, &row.result) {
                context_file::write_line(file, row.id, attribution)?;
            }
            if let (Some(page), Some(view)) = (&mut page, view(results, &row)) {
                page.add(row.id, &view)?;
            }
        }
    }
    if let (Some(file), Some(path)) = (saved, &display.save_path) {
        finished(file, path)?;
    }
    if let (Some(page), Some(path)) = (page, &display.viz_path) {
        finished(page.finish()?, path)?;
    }
    Ok(())
}

/// Returns what is shown of a row; `None` for an error row.
pub(super) fn view(results: &Results, row: &ContextRow) -> Option<ContextView> {
    let attribution = row.result.as_ref().ok()?;
    let input = row.input_text.clone().unwrap_or_default();
    let description = description(results.spec(), input)?;
    Some(ContextView::new(attribution, description))
}

/// Returns what a job about contexts was asked for; `None` for another job.
fn description(spec: &JobSpec, input_current: String) -> Option<Description> {
    let options = spec.context.as_ref()?;
    Some(Description {
        model: spec.model.path.clone(),
        metric: options.metric.label().to_owned(),
        method: spec.attribution.method.label().to_owned(),
        function: spec.attribution.attributed_fn.label().to_owned(),
        input_current,
        sensitivity: options.sensitivity,
        cues: options.cues,
    })
}
