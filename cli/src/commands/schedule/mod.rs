//! `whence schedule`: what the coordinator of a storage root submits again and again.
//!
//! Schedules are objects of the storage root, and these commands read and write them there. The
//! coordinator sees a change at its next look, within seconds. Each change is an object of its own, so
//! two people who change a schedule at once do not undo each other's work: the second one is told.

mod create;
mod history;
mod list;
mod stored;

use whence_coordinator::durable::schedules::{self, Change, Fire, FireId, Outcome};
use whence_schemas::JobSpec;

use crate::args::{OneSchedule, Schedule};
use crate::{Failure, output};
use stored::Stored;

pub(super) async fn run(arguments: Schedule) -> Result<(), Failure> {
    match arguments {
        Schedule::Create(arguments) => create::run(*arguments).await,
        Schedule::List(arguments) => list::run(arguments).await,
        Schedule::Show(arguments) => list::show(arguments).await,
        Schedule::Pause(arguments) => change(arguments, Change::Pause).await,
        Schedule::Resume(arguments) => change(arguments, Change::Resume).await,
        Schedule::Trigger(arguments) => trigger(arguments).await,
        Schedule::Delete(arguments) => {
            stored::delete(&arguments.storage.root, &arguments.name).await
        }
        Schedule::History(arguments) => history::run(arguments).await,
    }
}

async fn change(arguments: OneSchedule, change: Change) -> Result<(), Failure> {
    let stored = Stored::open(&arguments.storage.root, &arguments.name).await?;
    let is_so = match change {
        Change::Pause => stored.current.is_paused,
        Change::Resume => !stored.current.is_paused,
        Change::Set(_) | Change::Delete => false,
    };
    let name = &arguments.name;
    if is_so {
        let told = match change {
            Change::Pause => "is paused already",
            _ => "is not paused",
        };
        eprintln!("schedule `{name}` {told}");
        return Ok(());
    }
    stored.change(change).await
}

/// Decides that the schedule fires now. The coordinator submits the jobs at its next look.
async fn trigger(arguments: OneSchedule) -> Result<(), Failure> {
    let name = &arguments.name;
    let stored = Stored::open(&arguments.storage.root, name).await?;
    let now = stored::now_ms();
    let id = FireId {
        time_ms: now,
        is_manual: true,
    };
    let jobs = stored.current.schedule.runs(name, now);
    let fire = Fire {
        outcome: Outcome::Fired,
        jobs: jobs.iter().map(JobSpec::id).collect(),
        at_ms: now,
        epoch: None,
    };
    schedules::decide(stored.store.as_ref(), name, id, fire.clone()).await?;
    for job in &fire.jobs {
        output::line(job.as_str())?;
    }
    eprintln!("the coordinator of this root submits the jobs within seconds");
    Ok(())
}
