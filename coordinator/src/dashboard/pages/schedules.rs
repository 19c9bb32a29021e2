//! The schedules of the storage root, with their next times.

use askama::Template;
use whence_schemas::JobId;

use super::job_line;
use crate::Error;
use crate::dashboard::context::Context;
use crate::dashboard::markup::Markup;
use crate::dashboard::region::{Part, Region};
use crate::dashboard::schedule_lines::ScheduleLine;
use crate::dashboard::view::{Tab, View};

#[derive(Template)]
#[template(path = "dashboard/schedule_row.html")]
struct Row<'a> {
    line: &'a ScheduleLine,
    /// The jobs of the last time, each with its short name.
    jobs: Vec<(&'a JobId, &'a str)>,
}

#[derive(Template)]
#[template(path = "dashboard/schedules.html")]
struct Schedules<'a> {
    schedules: &'a Region,
    is_team: bool,
}

/// Makes the page. Schedules belong to whoever holds the credentials of the root, so a team sees none.
pub(in crate::dashboard) async fn view(context: &Context) -> Result<View, Error> {
    let is_team = context.visitor.caller.tenant.is_some();
    let mut parts = Vec::new();
    if !is_team {
        let lines = context.site.schedules(&context.coordinator).await?;
        for line in lines.iter() {
            let jobs = line.last.iter().flat_map(|last| &last.jobs);
            let jobs = jobs.map(|job| (job, job_line::short(job))).collect();
            parts.push(Part {
                id: format!("schedule-{}", line.name),
                html: Markup::of(&Row { line, jobs })?,
            });
        }
    }
    let schedules = Region {
        id: "schedules",
        parts,
    };
    let page = Schedules {
        schedules: &schedules,
        is_team,
    };
    Ok(View {
        title: "Schedules".to_owned(),
        tab: Tab::Schedules,
        body: Markup::of(&page)?,
        regions: vec![schedules],
    })
}
