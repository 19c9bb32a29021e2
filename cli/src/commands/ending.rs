//! What is printed and written once a job has ended: failed rows, the first heatmap, the requested
//! files and the place of the table.

use whence_proto::v1::{JobState, JobStatus};
use whence_schemas::layout;

use super::artifacts;
use super::drawing::draw;
use crate::args::DisplayOptions;
use crate::output::{counted, grouped};
use crate::results::Results;
use crate::{Failure, viz};

/// At most this many distinct errors of rows are printed; the table has all of them.
const SHOWN_REASONS: usize = 3;

/// How the results of a job are presented.
#[derive(Debug)]
pub(super) struct Ending<'a> {
    /// Which files to write, and whether to show the heatmap.
    pub(super) display: &'a DisplayOptions,
    /// The storage root as the user typed it.
    pub(super) shown_root: &'a str,
}

/// Prints how the job ended and writes the requested files. Fails if the job is not sealed, or if
/// none of its rows could be attributed.
pub(super) async fn conclude(
    status: &JobStatus,
    results: &Results,
    ending: &Ending<'_>,
) -> Result<(), Failure> {
    ended_well(status)?;
    tell_failed_rows(status, results).await?;
    let is_hidden = ending.display.hide_attributions;
    // A row counts as failed if one of its sequences failed, but others may have succeeded. So
    // even if all rows failed, only the table shows whether anything was attributed.
    if !is_hidden || status.rows_failed == status.rows_total {
        let Some(first) = results.first_attributed().await? else {
            return Err(Failure::run(format!(
                "none of the {} could be attributed",
                counted(status.rows_total, "row")
            )));
        };
        if let (Ok(attribution), false) = (&first.result, is_hidden) {
            let heatmaps = viz::heatmaps(attribution, &results.step_scores());
            draw(&heatmaps, ending.display.pictures)?;
        }
    }
    artifacts::write_results(results, ending.display).await?;
    tell_table(ending.shown_root, status);
    Ok(())
}

/// Prints where the table of a job is, and a query to start with.
pub(super) fn tell_table(root: &str, status: &JobStatus) {
    eprintln!("table: {}", folder_below(root, &status.table));
    eprintln!("next:  {}", question(root, status));
}

/// Returns the path or URL of a folder below `root`. The settings at the end of a root's URL
/// (`?endpoint=…`) are dropped.
fn folder_below(root: &str, folder: &str) -> String {
    let is_url = root.contains("://");
    let place = root.split('?').next().filter(|_| is_url).unwrap_or(root);
    format!("{}/{folder}", place.trim_end_matches('/'))
}

/// Fails unless the job is sealed.
pub(super) fn ended_well(status: &JobStatus) -> Result<(), Failure> {
    match status.state() {
        JobState::Sealed => Ok(()),
        JobState::Failed => Err(Failure::run(format!(
            "job {} failed: {}",
            status.job_id, status.message
        ))
        .hint("correct that, then run the same command again to resume")),
        JobState::Cancelled => Err(Failure::request(format!(
            "job {} was cancelled; the rows it computed are kept",
            status.job_id
        ))
        .hint("a new run needs another name: --run-id again")),
        JobState::Running | JobState::Unspecified => {
            Err(Failure::run(format!("job {} has not ended", status.job_id)))
        }
    }
}

/// Returns a command to start with, which can be pasted into a shell: a query for the tokens with the
/// highest mean score, or for a job about contexts its first row.
fn question(root: &str, status: &JobStatus) -> String {
    // Quoting fails only for a NUL byte, which no path contains.
    let quoted = shlex::try_quote(root).unwrap_or_default();
    if status.table.starts_with(layout::CONTEXTS) {
        return format!("whence show {} --root {quoted}", status.job_id);
    }
    format!(
        "whence sql --root {quoted} \"SELECT source_token, count(*) AS times, avg(score) AS mean \
         FROM attributions WHERE job = '{}' GROUP BY source_token ORDER BY mean DESC LIMIT 10\"",
        status.job_id
    )
}

/// Prints how many rows failed, and the first row for each of the first few distinct errors.
pub(super) async fn tell_failed_rows(status: &JobStatus, results: &Results) -> Result<(), Failure> {
    if status.rows_failed == 0 {
        return Ok(());
    }
    eprintln!(
        "{} of {} failed; their rows say why:",
        grouped(status.rows_failed),
        counted(status.rows_total, "row")
    );
    let manifest = results.manifest().await?;
    let files = manifest.map(|manifest| manifest.files).unwrap_or_default();
    let mut told: Vec<String> = Vec::new();
    for file in files.iter().filter(|file| file.errors > 0) {
        for (id, error) in results.errors(&file.key).await? {
            if told.contains(&error.message) {
                continue;
            }
            if told.len() == SHOWN_REASONS {
                if results.spec().context.is_none() {
                    eprintln!("  … all: SELECT * FROM examples WHERE status = 'error'");
                } else {
                    eprintln!("  …");
                }
                return Ok(());
            }
            eprintln!("  {id}: {}", error.message);
            told.push(error.message);
        }
    }
    Ok(())
}
