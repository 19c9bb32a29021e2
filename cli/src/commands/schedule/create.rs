//! `whence schedule create`.

use std::time::Duration;

use whence_coordinator::durable::schedules::Change;
use whence_coordinator::durable::{root, schedules};
use whence_coordinator::schedule::{CatchUp, Overlap, Schedule, When};
use whence_schemas::store;

use super::super::stop::unless_stopped;
use super::super::sweep::planning::plan;
use super::list::next_times;
use super::stored::{change_from, now_ms};
use crate::Failure;
use crate::args::{ProgressMode, ScheduleCreate};
use crate::output::counted;
use crate::sweep::{Budget, Sweep};

/// More missed times than this are nothing that anybody waits for.
const MOST_CAUGHT_UP: u32 = 1000;
/// Fires that are later than this belong to another day.
const LONGEST_JITTER: Duration = Duration::from_hours(24);

pub(super) async fn run(arguments: ScheduleCreate) -> Result<(), Failure> {
    let when = when(&arguments);
    when.check()
        .map_err(|error| Failure::request(error.to_string()))?;
    let overlap = Overlap::from(arguments.overlap);
    let catch_up = catch_up(&arguments.catch_up, overlap)?;
    if arguments.jitter > LONGEST_JITTER {
        return Err(Failure::request("`--jitter` is longer than a day"));
    }
    let sweep = Sweep::read(&arguments.file)?;
    if sweep.budget != Budget::default() {
        let refused = "a schedule has no budget; its fires are as many as its times";
        return Err(Failure::request(refused).hint("remove `budget` from the file"));
    }
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
        overlap,
        catch_up,
        jitter_seconds: arguments.jitter.as_secs(),
        jobs: planned.jobs.into_values().map(|job| job.spec).collect(),
    };
    let name = &arguments.name;
    let store = store::open(&arguments.storage.root)?;
    root::check(store.as_ref()).await?;
    let listed = schedules::list(store.as_ref()).await?;
    let objects = listed.get(name).cloned().unwrap_or_default();
    let changes = objects.changes;
    let num_jobs = counted(schedule.jobs.len() as u64, "job");
    let next = next_times(&schedule.when, &objects, now_ms());
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

/// Reads how many times are caught up. Several can only come one after the other.
fn catch_up(text: &str, overlap: Overlap) -> Result<CatchUp, Failure> {
    let number = match text {
        "none" => return Ok(CatchUp::None),
        "last" => return Ok(CatchUp::Last),
        number => number
            .parse()
            .ok()
            .filter(|number| *number <= MOST_CAUGHT_UP),
    };
    match number {
        Some(1) => Ok(CatchUp::Last),
        Some(number) if overlap == Overlap::Queue => Ok(CatchUp::UpTo(number)),
        Some(_) => Err(Failure::request(format!(
            "`--catch-up {text}` needs `--overlap queue`: several fires come one after the other"
        ))),
        None => Err(Failure::request(format!(
            "`--catch-up {text}` is neither `none` nor `last` nor a number up to {MOST_CAUGHT_UP}"
        ))),
    }
}
