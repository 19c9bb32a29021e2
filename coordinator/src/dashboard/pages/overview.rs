//! The first page: what the cluster does, and the jobs.

use askama::Template;
use serde::Deserialize;
use url::form_urlencoded;

use super::job_line::{self, JobLine, JobState};
use super::paging::Paging;
use crate::Error;
use crate::dashboard::context::Context;
use crate::dashboard::figures::{self, count};
use crate::dashboard::markup::Markup;
use crate::dashboard::region::{Part, Region};
use crate::dashboard::view::{Tab, View};
use crate::job::Phase;

/// Jobs on one page.
const PER_PAGE: usize = 100;

/// Which jobs are listed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct JobFilter {
    /// The word of a state; any if empty.
    state: String,
    /// What one of the words that describe the job contains; anything if empty.
    text: String,
    page: usize,
}

impl JobFilter {
    fn accepts(&self, line: &JobLine) -> bool {
        let has_state = self.state.is_empty() || line.state().word == self.state;
        has_state && line.is_found_by(&self.text.trim().to_lowercase())
    }

    /// Returns the path of another page of the same jobs.
    fn page(&self, page: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("state", &self.state), ("text", &self.text)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.append_pair("page", &page.to_string());
        format!("/?{}", query.finish())
    }
}

#[derive(Template)]
#[template(path = "dashboard/totals.html")]
struct Totals {
    running: String,
    workers: String,
    pending: String,
    leased: String,
    rows: String,
    failed: String,
    speed: String,
    store_fault: Option<String>,
}

#[derive(Template)]
#[template(path = "dashboard/job_row.html")]
struct Row<'a> {
    line: &'a JobLine,
    short: &'a str,
    rows: String,
    failed: String,
    submitted: String,
    has_tenants: bool,
}

#[derive(Template)]
#[template(path = "dashboard/overview.html")]
struct Overview<'a> {
    filter: &'a JobFilter,
    states: [JobState; 5],
    totals: &'a Region,
    jobs: &'a Region,
    has_tenants: bool,
    paging: Paging,
    previous: Option<String>,
    next: Option<String>,
}

/// Makes the page.
pub(in crate::dashboard) fn view(context: &Context, filter: &JobFilter) -> Result<View, Error> {
    let lines = JobLine::all(context);
    let has_tenants = context.visitor.caller.tenant.is_none()
        && lines.iter().any(|line| line.summary.tenant.is_some());
    let totals = Region::single("totals", Markup::of(&totals(context, &lines))?);
    let found: Vec<_> = lines.iter().filter(|line| filter.accepts(line)).collect();
    let paging = Paging::new(filter.page, found.len(), PER_PAGE);
    let rows = found[paging.items()].iter();
    let parts = rows.map(|line| part(line, has_tenants));
    let jobs = Region {
        id: "jobs",
        parts: parts.collect::<Result<_, _>>()?,
    };
    let page = Overview {
        filter,
        states: JobState::ALL,
        totals: &totals,
        jobs: &jobs,
        has_tenants,
        paging,
        previous: (paging.page > 1).then(|| filter.page(paging.page - 1)),
        next: (paging.page < paging.pages).then(|| filter.page(paging.page + 1)),
    };
    Ok(View {
        title: "Jobs".to_owned(),
        tab: Tab::Jobs,
        body: Markup::of(&page)?,
        regions: vec![totals, jobs],
    })
}

fn part(line: &JobLine, has_tenants: bool) -> Result<Part, Error> {
    let totals = line.totals();
    let done = (totals.rows_done + totals.rows_in_flight).min(totals.rows);
    let row = Row {
        line,
        short: job_line::short(line.id()),
        rows: format!("{} of {}", count(done), count(totals.rows)),
        failed: count(totals.rows_failed),
        submitted: figures::time(line.submitted_ms).unwrap_or_default(),
        has_tenants,
    };
    Ok(Part {
        id: format!("job-{}", line.id()),
        html: Markup::of(&row)?,
    })
}

/// Sums what the running jobs among `lines` do.
fn totals(context: &Context, lines: &[JobLine]) -> Totals {
    let running = lines
        .iter()
        .filter(|line| line.summary.phase == Phase::Running);
    let sum = |of: fn(&crate::job::Totals) -> u64| {
        let numbers = running.clone().map(|line| of(line.totals()));
        count(numbers.sum())
    };
    let paces = running.clone().filter_map(|line| line.pace);
    let (workers, store_fault) = context.read(|state| {
        let fault = state.store_fault.clone();
        (state.workers.num_there() as u64, fault)
    });
    Totals {
        running: count(running.clone().count() as u64),
        workers: count(workers),
        pending: sum(|it| it.slots.saturating_sub(it.slots_done + it.slots_leased)),
        leased: sum(|it| it.slots_leased),
        rows: sum(|it| it.rows_done + it.rows_in_flight),
        failed: sum(|it| it.rows_failed),
        speed: figures::speed(paces.map(|pace| pace.tokens).sum()),
        store_fault,
    }
}
