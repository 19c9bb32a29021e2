//! `whence schedule history`: what happened at each time.

use serde_json::json;
use whence_coordinator::durable::schedules::{self, Outcome};

use super::list::time;
use super::stored::Stored;
use crate::Failure;
use crate::args::ScheduleHistory;
use crate::output;

pub(super) async fn run(arguments: ScheduleHistory) -> Result<(), Failure> {
    let name = &arguments.name;
    let stored = Stored::open(&arguments.storage.root, name).await?;
    let store = stored.store.as_ref();
    if stored.objects.fires.is_empty() {
        eprintln!("schedule `{name}` has not fired yet");
    }
    for (id, key) in &stored.objects.fires {
        let Some(fire) = schedules::fire(store, key).await? else {
            continue;
        };
        let has_error = fire.outcome == Outcome::Fired && !stored.objects.errors.is_empty();
        let error = if has_error {
            schedules::error(store, name, *id).await?
        } else {
            None
        };
        let error = error.map(|error| error.message);
        let outcome = match fire.outcome {
            Outcome::Fired if error.is_some() => "not submitted",
            Outcome::Fired if id.is_manual => "triggered",
            Outcome::Fired => "fired",
            Outcome::Skipped => "skipped",
            Outcome::Missed => "missed",
        };
        if arguments.json {
            let told = json!({
                "time": time(id.time_ms),
                "decided": time(fire.at_ms),
                "outcome": outcome,
                "jobs": fire.jobs,
                "error": error,
            });
            output::line(&told.to_string())?;
            continue;
        }
        let jobs: Vec<_> = fire
            .jobs
            .iter()
            .map(whence_schemas::JobId::as_str)
            .collect();
        let told = format!("{}  {outcome:9}  {}", time(id.time_ms), jobs.join(" "));
        output::line(told.trim_end())?;
        if let Some(error) = error {
            eprintln!("  {error}");
        }
    }
    Ok(())
}
