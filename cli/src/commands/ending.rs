//! What is said and written once a job has ended: failed rows, the first heatmap, where the table is.

use whence_proto::v1::{JobState, JobStatus};

use super::artifacts;
use crate::args::DisplayOptions;
use crate::output::{self, counted, grouped};
use crate::results::Results;
use crate::{Failure, viz};

/// Reasons that are shown; the table has them all.
const SHOWN_REASONS: usize = 3;

/// Where results go.
#[derive(Debug)]
pub(super) struct Ending<'a> {
    /// Files and heatmap.
    pub(super) display: &'a DisplayOptions,
    /// The storage root as the person wrote it.
    pub(super) shown_root: &'a str,
}

/// Tells how the job ended. Fails if it has no result.
pub(super) async fn conclude(
    status: &JobStatus,
    results: &Results,
    ending: &Ending<'_>,
) -> Result<(), Failure> {
    ended_well(status)?;
    tell_failed_rows(status, results).await?;
    let is_hidden = ending.display.hide_attributions;
    // Of a row with a bad sequence the others may be good: only the rows themselves tell.
    if !is_hidden || status.rows_failed == status.rows_total {
        let Some(first) = results.first_attributed().await? else {
            return Err(Failure::run(format!(
                "none of the {} could be attributed",
                counted(status.rows_total, "row")
            )));
        };
        if let (Ok(attribution), false) = (&first.result, is_hidden) {
            for heatmap in viz::heatmaps(attribution, &results.step_scores()) {
                let drawn = viz::render(&heatmap, output::width(), viz::Colors::of_stdout());
                output::line(&drawn)?;
            }
        }
    }
    artifacts::write_results(results, ending.display).await?;
    tell_table(ending.shown_root, status);
    Ok(())
}

/// Tells where the table of a job below `root` is, and what to ask of it.
pub(super) fn tell_table(root: &str, status: &JobStatus) {
    eprintln!("table: {}", folder_below(root, &status.table));
    eprintln!("next:  {}", question(root, status));
}

/// Returns the path or URL of a folder below `root`, whose settings (`?endpoint=…`) are not part of it.
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

/// Returns a question worth asking, ready to be typed.
fn question(root: &str, status: &JobStatus) -> String {
    format!(
        "whence sql --root {} \"SELECT source_token, count(*) AS times, avg(score) AS mean \
         FROM attributions WHERE job = '{}' GROUP BY source_token ORDER BY mean DESC LIMIT 10\"",
        // Only a NUL cannot be quoted, and no path has one.
        shlex::try_quote(root).unwrap_or_default(),
        status.job_id
    )
}

/// Tells how many rows failed, and for the first few reasons the first row each.
async fn tell_failed_rows(status: &JobStatus, results: &Results) -> Result<(), Failure> {
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
        for row in results.rows(&file.key).await? {
            let Err(error) = row.result else { continue };
            if told.contains(&error.message) {
                continue;
            }
            if told.len() == SHOWN_REASONS {
                eprintln!("  … all: SELECT * FROM examples WHERE status = 'error'");
                return Ok(());
            }
            eprintln!("  {}: {}", row.id, error.message);
            told.push(error.message);
        }
    }
    Ok(())
}
