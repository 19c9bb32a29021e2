//! `whence aggregate`: runs aggregators on a stored table or a saved file. The result is a table
//! like any other, or a file.

use whence_proto::v1::{JobState, JobStatus};
use whence_schemas::Plan;

use super::artifacts::{Targets, origin_of};
use super::drawing::draw;
use super::ending::{self, Ending};
use super::stop::unless_stopped;
use crate::aggregation::{DerivedTable, Groups, Request, counts, planned};
use crate::args::Aggregate;
use crate::inseq_file::Origin;
use crate::progress::JobProgress;
use crate::results::Results;
use crate::{Failure, viz};

pub(super) async fn run(arguments: Aggregate) -> Result<(), Failure> {
    let display = &arguments.display;
    let writes_files = display.save_path.is_some() || display.viz_path.is_some();
    let told = if writes_files {
        "no file was written"
    } else {
        "the slots that are written are kept; run the same command again to resume"
    };
    let work = async {
        let targets = Targets::create(display)?;
        let request = Request::read(&arguments).await?;
        let mut progress = JobProgress::start(arguments.progress.mode());
        let done = if writes_files {
            to_files(&request, targets, &arguments, &mut progress).await
        } else {
            to_table(&request, &arguments, &mut progress).await
        };
        progress.finish();
        done
    };
    // The state of reading and writing is large.
    Box::pin(unless_stopped(work, told)).await
}

/// Writes the files that were asked for, row by row.
async fn to_files(
    request: &Request,
    targets: Targets,
    arguments: &Aggregate,
    progress: &mut JobProgress,
) -> Result<(), Failure> {
    let (numbered, plan) = planned(request);
    let spec = &request.attribution;
    let names = spec.step_score_labels();
    let first = &request.inputs[0];
    let origin = Origin {
        aggregators: Some(request.aggregators.clone()),
        ..origin_of(&arguments.display, first.model(), first.classes())
    };
    let mut files = targets.begin(spec, &names, origin)?;
    let mut tally = Tally::of(&plan);
    let mut is_shown = arguments.display.hide_attributions;
    let mut groups = Groups::of(request, numbered).await?;
    while let Some(mut group) = groups.begin().await? {
        while let Some(row) = groups.row(&mut group).await? {
            tally.count(1, u64::from(row.result.is_err()));
            progress.show(&tally.status);
            let attribution = match &row.result {
                Ok(attribution) => attribution,
                Err(error) => {
                    eprintln!("{}: {}", row.id, error.message);
                    continue;
                }
            };
            if arguments.display.viz_path.is_some() {
                check_storable(&row)?;
            }
            if !is_shown {
                is_shown = true;
                if !attribution.has_raw_scores() {
                    let heatmaps = viz::heatmaps(attribution, &names);
                    draw(&heatmaps, arguments.display.pictures)?;
                }
            }
            let input_text = row.input_text.as_deref().unwrap_or_default();
            files.add(row.id, input_text, attribution)?;
        }
    }
    tally.check()?;
    files.finish()
}

/// Writes the table of a job of its own, slot by slot.
async fn to_table(
    request: &Request,
    arguments: &Aggregate,
    progress: &mut JobProgress,
) -> Result<(), Failure> {
    let (numbered, plan) = planned(request);
    let root = &arguments.storage.root;
    let mut tally = Tally::of(&plan);
    let mut table = DerivedTable::begin(root, request.specification(), &plan).await?;
    let id = table.id().clone();
    tally.status.job_id = id.to_string();
    tally.status.table = table.folder().to_owned();
    if table.is_complete().await? {
        eprintln!("already complete; nothing to aggregate");
    } else {
        let mut groups = Groups::of(request, numbered).await?;
        while let Some(slot) = groups.next_slot() {
            if let Some((rows, errors)) = table.filled(&slot).await? {
                groups.skip().await?;
                tally.count(rows, errors);
                continue;
            }
            let Some(mut group) = groups.begin().await? else {
                break;
            };
            let mut rows = Vec::new();
            while let Some(row) = groups.row(&mut group).await? {
                check_storable(&row)?;
                rows.push(row);
            }
            let (examples, errors) = counts(&rows);
            (group.footer.examples, group.footer.errors) = (examples, errors);
            table
                .fill(&group.footer, &rows, group.columns.as_ref())
                .await?;
            tally.count(examples, errors);
            progress.show(&tally.status);
        }
        table.seal().await?;
    }
    progress.finish();
    let results = Results::open(root, id.as_str()).await?;
    if let Some(manifest) = results.manifest().await? {
        (tally.status.rows_total, tally.status.rows_failed) = (manifest.rows, manifest.errors);
    }
    tally.status.set_state(JobState::Sealed);
    let ending = Ending {
        display: &arguments.display,
        shown_root: root,
    };
    ending::conclude(&tally.status, &results, &ending).await
}

/// Fails if a row has more than one score per token, which neither a table nor a heatmap can hold.
fn check_storable(row: &whence_worker::table::TableRow) -> Result<(), Failure> {
    let is_raw = row
        .result
        .as_ref()
        .is_ok_and(whence_engine::Attribution::has_raw_scores);
    if !is_raw {
        return Ok(());
    }
    Err(Failure::request(
        "these scores have several numbers per token, and a table or a heatmap holds one",
    )
    .hint(
        "begin with aggregators that reduce them, such as `vnorm` for gradients or `mean mean` for \
         attention; or only save them: --save-path FILE",
    ))
}

/// Counts rows for the display.
struct Tally {
    status: JobStatus,
}

impl Tally {
    fn of(plan: &Plan) -> Self {
        let rows = plan
            .shards
            .iter()
            .map(|shard| shard.rows.end - shard.rows.start);
        let mut status = JobStatus {
            rows_total: rows.sum(),
            workers: 1,
            ..JobStatus::default()
        };
        status.work_total = status.rows_total;
        status.set_state(JobState::Running);
        Self { status }
    }

    fn count(&mut self, rows: u64, errors: u64) {
        self.status.rows_done += rows;
        self.status.work_done += rows;
        self.status.rows_failed += errors;
    }

    /// Fails if no row could be aggregated.
    fn check(&self) -> Result<(), Failure> {
        if self.status.rows_done > 0 && self.status.rows_failed == self.status.rows_done {
            return Err(Failure::run("none of the examples could be aggregated"));
        }
        Ok(())
    }
}
