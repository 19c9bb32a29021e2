//! `whence schedule create`.

use whence_coordinator::durable::schedules::Change;
use whence_coordinator::durable::{root, schedules};
use whence_coordinator::schedule::{CatchUp, Schedule, When};
use whence_schemas::store;

use super::super::stop::unless_stopped;
use super::super::sweep::planning::plan;
use super::list::next_times;
use super::stored::{change_from, now_ms};
use crate::Failure;
use crate::args::{ProgressMode, ScheduleCreate};
use crate::output::counted;
use crate::sweep::Sweep;

pub(super) async fn run(arguments: ScheduleCreate) -> Result<(), Failure> {
    let when = when(&arguments);
    when.check()
        .map_err(|error| Failure::request(error.to_string()))?;
    let catch_up = catch_up(&arguments.catch_up)?;
    let sweep = Sweep::read(&arguments.file)?;
    let planned = Box::pin(plan(&sweep, ProgressMode::Auto, |_| Ok(())));
    let planned = async { Ok(planned.await) };
    let planned = unless_stopped(planned, "nothing was scheduled").await?;
    // A night is too late to hear of it.
    let mut cells = planned.cells.iter().zip(&sweep.cells);
    if let Some((Err(failure), cell)) = cells.find(|(job, _)| job.is_err()) {
        let labels = cell.labels.join(", ");
        return Err(failure.clone().in_context(&format!("the cell {labels}:")));
    }
    let schedule = Schedule {
        when,
        overlap: arguments.overlap.into(),
        catch_up,
        jitter_seconds: arguments.jitter.as_secs(),
        jobs: planned.jobs.into_values().map(|job| job.spec).collect(),
    };
    let name = &arguments.name;
    let store = store::open(&arguments.storage.root)?;
    root::check(store.as_ref()).await?;
    let listed = schedules::list(store.as_ref()).await?;
    let changes = listed.get(name).map_or(0, |objects| objects.changes);
    let num_jobs = counted(schedule.jobs.len() as u64, "job");
    let next = next_times(&schedule.when, now_ms());
    let change = Change::Set(Box::new(schedule));
    change_from(store.as_ref(), name, changes, change).await?;
    eprintln!(
        "schedule `{name}` of {num_jobs}; next times: {}",
        next.join(", ")
    );
    Ok(())
}

fn when(arguments: &ScheduleCreate) -> When {
    match (&arguments.cron, arguments.every) {
        (Some(expression), _) => When::Cron {
            expression: expression.clone(),
            zone: arguments.zone.clone(),
        },
        (None, every) => When::Every {
            seconds: every.unwrap_or_default().as_secs(),
        },
    }
}

fn catch_up(text: &str) -> Result<CatchUp, Failure> {
    match text {
        "none" => Ok(CatchUp::None),
        "last" => Ok(CatchUp::Last),
        number => number.parse().map(CatchUp::UpTo).map_err(|_| {
            Failure::request(format!(
                "`--catch-up {number}` is neither `none` nor `last` nor a number"
            ))
        }),
    }
}
