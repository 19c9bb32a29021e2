//! A row of a job with its heatmaps, alone or beside those of another job over the same rows.

use askama::Template;
use serde::Deserialize;
use whence_schemas::{JobId, JobSpec};

use super::job_line::{self, JobLine};
use super::rows::{self, SlotRows};
use crate::Error;
use crate::dashboard::context::Context;
use crate::dashboard::figures;
use crate::dashboard::heatmap::{self, Heatmap};
use crate::dashboard::markup::Markup;
use crate::dashboard::view::{Tab, View};

/// Jobs that are offered for comparison.
const MOST_OFFERED: usize = 50;

/// Which row, and what it is compared with.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct Choice {
    row: u64,
    /// Number of the sequence.
    sample: i32,
    /// Another job over the same rows; none if empty.
    with: String,
}

/// A row as one job computed it.
struct Side {
    job: JobId,
    method: String,
    input: String,
    output: String,
    heatmaps: Vec<Heatmap>,
    /// Why there are no heatmaps.
    problem: Option<String>,
}

impl Side {
    fn short(&self) -> &str {
        job_line::short(&self.job)
    }
}

/// A job that a row can be compared with.
struct Offer {
    job: JobId,
    words: String,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "dashboard/example.html")]
struct Page<'a> {
    job: &'a JobId,
    choice: &'a Choice,
    previous: Option<u64>,
    next: Option<u64>,
    sides: &'a [Side],
    offers: &'a [Offer],
}

/// Makes the page.
pub(in crate::dashboard) async fn view(
    context: &Context,
    id: &JobId,
    choice: &Choice,
) -> Result<View, Error> {
    let mut sides = vec![side(context, id, choice).await?];
    if !choice.with.is_empty() {
        let other: JobId = choice.with.parse()?;
        sides.push(side(context, &other, choice).await?);
    }
    let num_rows = context.read_job(id, |_, job| job.totals().rows)?;
    let offers = offers(context, id, choice)?;
    let page = Page {
        job: id,
        choice,
        previous: choice.row.checked_sub(1),
        next: (choice.row + 1 < num_rows).then_some(choice.row + 1),
        sides: &sides,
        offers: &offers,
    };
    Ok(View {
        title: format!("Example {}", choice.row),
        tab: Tab::Jobs,
        body: Markup::of(&page)?,
        regions: Vec::new(),
    })
}

/// Returns the jobs that the visitor may see and that attribute the same rows.
fn offers(context: &Context, id: &JobId, choice: &Choice) -> Result<Vec<Offer>, Error> {
    let own = context.read_job(id, |_, job| job.spec().clone())?;
    let is_same = |spec: &JobSpec| spec.dataset == own.dataset && spec.context.is_none();
    let lines = JobLine::all(context).into_iter();
    let others = lines.filter(|line| line.id() != id && is_same(&line.spec));
    let offer = |line: JobLine| Offer {
        words: format!(
            "{} · {} · {}",
            line.method(),
            line.model(),
            job_line::short(line.id())
        ),
        is_chosen: line.id().as_str() == choice.with,
        job: line.id().clone(),
    };
    Ok(others.take(MOST_OFFERED).map(offer).collect())
}

async fn side(context: &Context, id: &JobId, choice: &Choice) -> Result<Side, Error> {
    context.look_up(id).await?;
    let (method, table) = context.read_job(id, |state, job| {
        let summary = state.summary(id)?;
        let method = JobLine::new(summary, job).method();
        Ok::<_, Error>((method, job.table().to_owned()))
    })??;
    let mut side = Side {
        job: id.clone(),
        method,
        input: String::new(),
        output: String::new(),
        heatmaps: Vec::new(),
        problem: None,
    };
    let Some(slot) = rows::slot_of_row(context, id, choice.row).await? else {
        side.problem = Some("This job has not computed the row.".to_owned());
        return Ok(side);
    };
    match rows::read(context, &table, &slot).await? {
        SlotRows::Read(file) => fill(&mut side, &file, choice),
        SlotRows::Missing => side.problem = Some("The file of its slot is missing.".to_owned()),
        SlotRows::TooLarge(bytes) => {
            let bytes = figures::memory(bytes);
            side.problem = Some(format!(
                "The file of its slot has {bytes}, too much for a page; use `whence show`."
            ));
        }
    }
    Ok(side)
}

fn fill(side: &mut Side, file: &whence_schemas::slot_file::SlotFile, choice: &Choice) {
    let mut places = file.batches.iter().flat_map(|batch| {
        let rows = 0..batch.num_rows();
        rows.map(move |row| (batch, row))
    });
    let found = places.find(|(batch, row)| {
        rows::example_of(batch, *row) == choice.row as i64
            && rows::sample_of(batch, *row) == choice.sample
    });
    let lines = rows::lines(file);
    let line = lines
        .into_iter()
        .find(|line| line.example == choice.row as i64 && line.sample == choice.sample);
    let (Some((batch, row)), Some(line)) = (found, line) else {
        side.problem = Some("The row has no such sequence.".to_owned());
        return;
    };
    side.input = line.input;
    side.output = line.output;
    match (line.error, heatmap::of_row(batch, row)) {
        (Some((code, message)), _) => side.problem = Some(format!("{code}: {message}")),
        (None, Ok(heatmaps)) => side.heatmaps = heatmaps,
        (None, Err(reason)) => side.problem = Some(reason),
    }
}
