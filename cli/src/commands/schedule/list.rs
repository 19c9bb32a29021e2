//! `whence schedule list` and `whence schedule show`.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use whence_coordinator::durable::schedules::{self, Current, Objects};
use whence_coordinator::schedule::{CatchUp, Overlap, When};

use super::stored::{Stored, damaged, now_ms};
use crate::Failure;
use crate::args::{OneSchedule, ScheduleList};
use crate::output::{self, counted};
use crate::results::open_root;

/// How many of the next times are shown.
const SHOWN: usize = 3;

pub(super) async fn run(arguments: ScheduleList) -> Result<(), Failure> {
    let store = open_root(&arguments.storage.root).await?;
    let (mut is_any, mut failed) = (false, None);
    for (name, objects) in schedules::list(store.as_ref()).await? {
        let current = match schedules::current(store.as_ref(), &name, objects.changes).await {
            Ok(Some(current)) => current,
            Ok(None) => continue,
            Err(error) => {
                // The others can be listed all the same.
                failed = Some(damaged(&name, error));
                continue;
            }
        };
        is_any = true;
        let next = next_times(&current.schedule.when, &objects, now_ms());
        let last = objects.last_decided(now_ms()).map(time);
        if arguments.json {
            let told = json!({
                "name": name.as_str(),
                "when": current.schedule.when,
                "paused": current.is_paused,
                "jobs": current.schedule.jobs.len(),
                "last": last,
                "next": next.first().filter(|_| !current.is_paused),
            });
            output::line(&told.to_string())?;
            continue;
        }
        let next = match next.first() {
            _ if current.is_paused => "paused".to_owned(),
            next => format!("next {}", next.map_or("never", String::as_str)),
        };
        let (when, jobs) = (words(&current.schedule.when), jobs(&current));
        output::line(&format!("{name}  {when}  {jobs}  {next}"))?;
    }
    if !is_any && failed.is_none() {
        eprintln!("no schedule was created yet");
    }
    failed.map_or(Ok(()), Err)
}

/// Prints what a schedule is.
pub(super) async fn show(arguments: OneSchedule) -> Result<(), Failure> {
    let stored = Stored::open(&arguments.storage.root, &arguments.name).await?;
    let schedule = &stored.current.schedule;
    let overlap = match schedule.overlap {
        Overlap::Skip => "skip: nothing is submitted while the jobs before are open",
        Overlap::Queue => "queue: it waits for the jobs before",
        Overlap::Replace => "replace: the jobs before are cancelled",
    };
    let catch_up = match schedule.catch_up {
        CatchUp::None => "none".to_owned(),
        CatchUp::Last => "the last time".to_owned(),
        CatchUp::UpTo(most) => format!("the last {}", counted(most.into(), "time")),
    };
    let next = if stored.current.is_paused {
        "paused".to_owned()
    } else {
        next_times(&schedule.when, &stored.objects, now_ms()).join(", ")
    };
    for (what, value) in [
        ("when", words(&schedule.when)),
        ("next", next),
        ("overlap", overlap.to_owned()),
        ("catch up", catch_up),
        ("jitter", format!("{} s", schedule.jitter_seconds)),
        ("jobs", jobs(&stored.current)),
    ] {
        output::line(&format!("{what:9} {value}"))?;
    }
    for job in &schedule.jobs {
        let attribution = &job.attribution;
        output::line(&format!(
            "          {}, {}, {}",
            job.model.path, attribution.method.name, attribution.attributed_fn.name
        ))?;
    }
    Ok(())
}

/// Returns the next times of a schedule, without their delays. Those that are decided, because a clock was
/// ahead, do not come again.
pub(super) fn next_times(when: &When, objects: &Objects, now_ms: u64) -> Vec<String> {
    let next = |last: &u64| when.after(*last).ok();
    let times = std::iter::successors(next(&now_ms), next);
    let open = times.filter(|time| !objects.is_decided(*time));
    open.take(SHOWN).map(time).collect()
}

/// Writes a time as people and programs read it.
pub(super) fn time(ms: u64) -> String {
    let time = i64::try_from(ms).ok();
    let time = time.and_then(DateTime::<Utc>::from_timestamp_millis);
    time.unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn words(when: &When) -> String {
    match when {
        When::Cron { expression, zone } => format!("cron `{expression}` in {zone}"),
        When::Every { seconds } => {
            let every = std::time::Duration::from_secs(*seconds);
            format!("every {}", humantime::format_duration(every))
        }
    }
}

fn jobs(current: &Current) -> String {
    counted(current.schedule.jobs.len() as u64, "job")
}
