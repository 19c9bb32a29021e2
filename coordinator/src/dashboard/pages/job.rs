//! A job: how far it is, who computes it, its slots and its specification.

use askama::Template;
use serde::Deserialize;
use whence_schemas::{JobId, SlotId, WorkerId};

use super::chart::Chart;
use super::job_line::JobLine;
use super::rows;
use super::slot_cell::{Grid, SlotCell};
use crate::Error;
use crate::dashboard::context::Context;
use crate::dashboard::figures::{self, count};
use crate::dashboard::gate::Visitor;
use crate::dashboard::markup::Markup;
use crate::dashboard::region::{Part, Region};
use crate::dashboard::view::{Tab, View};
use crate::job::{Job, Phase};

/// Bytes of a specification that are shown. Rows that were given with a job are part of it.
const MOST_SPEC_BYTES: usize = 64 << 10;
/// Which slots are shown.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct SlotPage {
    slots: usize,
}

/// An attempt that somebody makes.
#[derive(Debug)]
struct LeaseLine {
    worker: WorkerId,
    slot: SlotId,
    rows_done: u64,
    rows: u64,
    age: String,
    note: &'static str,
}

#[derive(Template)]
#[template(path = "dashboard/job_progress.html")]
struct Progress<'a> {
    line: &'a JobLine,
    rows: String,
    failed: String,
    slots: String,
    tokens: String,
    message: &'a str,
    waiting_for: String,
    chart: Option<Chart>,
}

#[derive(Template)]
#[template(path = "dashboard/slot_counts.html")]
struct Counts<'a> {
    grid: &'a Grid,
}

#[derive(Template)]
#[template(path = "dashboard/slot_cell.html")]
struct Cell<'a> {
    job: &'a JobId,
    cell: &'a SlotCell,
}

#[derive(Template)]
#[template(path = "dashboard/lease_row.html")]
struct LeaseRow<'a> {
    job: &'a JobId,
    lease: &'a LeaseLine,
}

#[derive(Template)]
#[template(path = "dashboard/job_actions.html")]
struct Actions<'a> {
    job: &'a JobId,
    visitor: &'a Visitor,
    /// What can be taken back, or costs no row: the path and the words of each.
    harmless: Vec<(&'static str, &'static str)>,
    may_cancel: bool,
}

#[derive(Template)]
#[template(path = "dashboard/job.html")]
struct Page<'a> {
    line: &'a JobLine,
    facts: Vec<(&'static str, String)>,
    /// Jobs that this one was made of, each with what it is to it.
    origins: Vec<(&'static str, JobId)>,
    progress: &'a Region,
    actions: &'a Region,
    counts: &'a Region,
    cells: &'a Region,
    leases: &'a Region,
    grid: &'a Grid,
    spec: String,
}

/// What the page shows, copied from the state or read from the store.
struct Shown {
    line: JobLine,
    grid: Grid,
    leases: Vec<LeaseLine>,
    /// Whether the slots are in memory. Those of a job that had ended before the coordinator started are
    /// not.
    is_in_memory: bool,
}

/// Makes the page.
pub(in crate::dashboard) async fn view(
    context: &Context,
    id: &JobId,
    page: SlotPage,
) -> Result<View, Error> {
    let shown = read(context, id, page).await?;
    let regions = regions(context, id, &shown)?;
    let [progress, actions, counts, cells, leases] = &regions;
    let page = Page {
        line: &shown.line,
        facts: facts(&shown.line),
        origins: origins(&shown.line),
        progress,
        actions,
        counts,
        cells,
        leases,
        grid: &shown.grid,
        spec: spec(&shown.line),
    };
    let body = Markup::of(&page)?;
    Ok(View {
        title: format!("Job {id}"),
        tab: Tab::Jobs,
        body,
        // What is only in files changes no more, and another look would read them again.
        regions: if shown.is_in_memory {
            regions.into()
        } else {
            Vec::new()
        },
    })
}

async fn read(context: &Context, id: &JobId, page: SlotPage) -> Result<Shown, Error> {
    context.look_up(id).await?;
    let (line, grid, leases) = context.read_job(id, |state, job| {
        let line = state.summary(id).map(|summary| JobLine::new(summary, job));
        let grid = job.slots().next().map(|_| Grid::of_job(job, page.slots));
        (line, grid, leases(job, context))
    })?;
    let mut line = line?;
    line.pace = context.site.pace(id);
    Ok(Shown {
        line,
        is_in_memory: grid.is_some(),
        grid: match grid {
            Some(grid) => grid,
            None => of_files(context, id, page).await?,
        },
        leases,
    })
}

/// Renders what changes while the page is open: progress, actions, counts, slots and leases.
fn regions(context: &Context, id: &JobId, shown: &Shown) -> Result<[Region; 5], Error> {
    let Shown {
        line, grid, leases, ..
    } = shown;
    let cell = |cell: &SlotCell| {
        let html = Markup::of(&Cell { job: id, cell })?;
        Ok((format!("slot-{}", cell.slot), html))
    };
    let lease = |lease: &LeaseLine| {
        let html = Markup::of(&LeaseRow { job: id, lease })?;
        Ok((format!("lease-{}-{}", lease.slot, lease.note), html))
    };
    Ok([
        Region::single("progress", Markup::of(&progress(context, line))?),
        Region::single("actions", Markup::of(&actions(context, line))?),
        Region::single("counts", Markup::of(&Counts { grid })?),
        Region {
            id: "slots",
            parts: parts(&grid.cells, cell)?,
        },
        Region {
            id: "leases",
            parts: parts(leases, lease)?,
        },
    ])
}

fn parts<T>(
    items: &[T],
    made: impl Fn(&T) -> Result<(String, Markup), Error>,
) -> Result<Vec<Part>, Error> {
    let part = |item| made(item).map(|(id, html)| Part { id, html });
    items.iter().map(part).collect()
}

async fn of_files(context: &Context, id: &JobId, page: SlotPage) -> Result<Grid, Error> {
    let manifest = rows::manifest(context, id).await?;
    manifest
        .map(|manifest| Grid::of_manifest(&manifest, page.slots))
        .ok_or_else(|| Error::UnknownJob(id.clone()))
}

fn leases(job: &Job, context: &Context) -> Vec<LeaseLine> {
    let now = context.now();
    let leases = job.leased().map(|(slot, lease)| {
        let rows = job.plan().rows(slot);
        LeaseLine {
            worker: lease.worker.clone(),
            slot: slot.clone(),
            rows_done: lease.rows_done,
            rows: rows.map_or(0, |rows| rows.end - rows.start),
            age: figures::ago(lease.age(now)),
            note: match (lease.is_uploading, lease.is_backup) {
                (true, _) => "uploading",
                (false, true) => "backup",
                (false, false) => "computing",
            },
        }
    });
    leases.collect()
}

fn progress<'a>(context: &Context, line: &'a JobLine) -> Progress<'a> {
    let totals = line.totals();
    let done = (totals.rows_done + totals.rows_in_flight).min(totals.rows);
    let waiting_for = line.summary.waiting_for.as_ref();
    Progress {
        line,
        rows: format!("{} of {}", count(done), count(totals.rows)),
        failed: count(totals.rows_failed),
        slots: format!("{} of {}", count(totals.slots_done), count(totals.slots)),
        tokens: count(totals.tokens_done),
        message: match &line.summary.phase {
            Phase::Failed { message, .. } => message,
            _ => "",
        },
        waiting_for: waiting_for.map_or_else(String::new, ToString::to_string),
        chart: Chart::of(&context.site.throughput(line.id())),
    }
}

fn actions<'a>(context: &'a Context, line: &'a JobLine) -> Actions<'a> {
    let is_running = line.summary.phase == Phase::Running;
    let is_paused = line.summary.is_paused;
    let can_retry = line.summary.phase == Phase::Sealed
        && line.totals().rows_failed > 0
        && line.spec.derived_from.is_none();
    let offers = [
        (is_running && !is_paused, "pause", "Pause", "PauseJob"),
        (is_running && is_paused, "resume", "Resume", "ResumeJob"),
        (can_retry, "retry", "Retry the error rows", "RetryJob"),
    ];
    let offers = offers.into_iter();
    let harmless = offers.filter(|(is_possible, _, _, call)| *is_possible && context.may(call));
    Actions {
        job: line.id(),
        visitor: &context.visitor,
        harmless: harmless.map(|(_, path, words, _)| (path, words)).collect(),
        may_cancel: is_running && context.may("CancelJob"),
    }
}

fn facts(line: &JobLine) -> Vec<(&'static str, String)> {
    let facts = [
        ("Model", line.spec.model.path.clone()),
        ("Method", line.method()),
        (
            "Attributed function",
            line.spec.attribution.attributed_fn.name.clone(),
        ),
        ("Dataset", line.dataset()),
        ("Run", line.run().to_owned()),
        ("Team", line.tenant()),
        (
            "Submitted",
            figures::time(line.submitted_ms).unwrap_or_default(),
        ),
        ("Table", line.summary.table.clone()),
    ];
    let facts = facts.into_iter().filter(|(_, value)| !value.is_empty());
    facts.collect()
}

fn origins(line: &JobLine) -> Vec<(&'static str, JobId)> {
    let retried = line.spec.retry_of.iter();
    retried
        .map(|job| ("Retries the failed rows of", job.clone()))
        .collect()
}

fn spec(line: &JobLine) -> String {
    let text = serde_json::to_string_pretty(line.spec.as_ref()).unwrap_or_default();
    if text.len() <= MOST_SPEC_BYTES {
        return text;
    }
    let end = text.floor_char_boundary(MOST_SPEC_BYTES);
    format!("{}\n…", &text[..end])
}
