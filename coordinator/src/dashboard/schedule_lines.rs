//! What the page of schedules shows of each, read from the store.

use whence_schemas::{JobId, chain};

use super::figures;
use crate::Error;
use crate::clock::Clock;
use crate::core::Core;
use crate::durable::schedules::{self, Current, FireId, Objects, Outcome};
use crate::schedule::{CatchUp, Overlap, ScheduleName, When};

/// A schedule as its page shows it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ScheduleLine {
    pub(super) name: ScheduleName,
    /// When it fires, in words.
    pub(super) when: String,
    /// What happens to times that overlap or were missed, in words.
    pub(super) rules: String,
    pub(super) is_paused: bool,
    /// The next time; none if it is paused.
    pub(super) next: Option<String>,
    pub(super) last: Option<LastFire>,
    /// Why the schedule cannot be followed.
    pub(super) problem: Option<String>,
}

/// What happened at the last time of a schedule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LastFire {
    pub(super) at: String,
    pub(super) outcome: &'static str,
    pub(super) jobs: Vec<JobId>,
}

/// Reads the schedules of the storage root, without those that were deleted.
pub(super) async fn read(core: &Core) -> Result<Vec<ScheduleLine>, Error> {
    let store = core.store.as_ref();
    let mut lines = Vec::new();
    for (name, objects) in schedules::list(store).await? {
        match schedules::current(store, &name, objects.changes).await {
            Ok(None) => {}
            Ok(Some(current)) => {
                let last = last_fire(core, &objects).await?;
                lines.push(line(name, &current, &objects, last));
            }
            // One that is damaged does not hide the others.
            Err(error) => lines.push(damaged(name, chain(&error))),
        }
    }
    Ok(lines)
}

fn line(
    name: ScheduleName,
    current: &Current,
    objects: &Objects,
    last: Option<LastFire>,
) -> ScheduleLine {
    let now_ms = Clock::calendar_ms();
    let decided_ms = objects.last_decided(now_ms).unwrap_or_default();
    let since_ms = decided_ms.max(current.since_ms).max(now_ms);
    let next = current.schedule.when.after(since_ms);
    let problem = next.as_ref().err().map(ToString::to_string);
    ScheduleLine {
        name,
        when: when(&current.schedule.when),
        rules: rules(current.schedule.overlap, current.schedule.catch_up),
        is_paused: current.is_paused,
        next: next
            .ok()
            .filter(|_| !current.is_paused)
            .and_then(figures::time),
        last,
        problem,
    }
}

fn damaged(name: ScheduleName, problem: String) -> ScheduleLine {
    ScheduleLine {
        name,
        when: String::new(),
        rules: String::new(),
        is_paused: false,
        next: None,
        last: None,
        problem: Some(problem),
    }
}

async fn last_fire(core: &Core, objects: &Objects) -> Result<Option<LastFire>, Error> {
    let Some((FireId { time_ms, is_manual }, key)) = objects.fires.last_key_value() else {
        return Ok(None);
    };
    let Some(fire) = schedules::fire(core.store.as_ref(), key).await? else {
        return Ok(None);
    };
    Ok(Some(LastFire {
        at: figures::time(*time_ms).unwrap_or_default(),
        outcome: match (fire.outcome, is_manual) {
            (Outcome::Fired, false) => "fired",
            (Outcome::Fired, true) => "triggered",
            (Outcome::Skipped, _) => "skipped",
            (Outcome::Missed, _) => "missed",
        },
        jobs: fire.jobs,
    }))
}

fn when(when: &When) -> String {
    match when {
        When::Cron { expression, zone } => format!("{expression} in {zone}"),
        When::Every { seconds } => {
            let every = std::time::Duration::from_secs(*seconds);
            format!("every {}", figures::duration(every))
        }
    }
}

fn rules(overlap: Overlap, catch_up: CatchUp) -> String {
    let overlap = match overlap {
        Overlap::Skip => "skips a time while jobs run",
        Overlap::Queue => "waits until jobs have ended",
        Overlap::Replace => "replaces jobs that run",
    };
    let catch_up = match catch_up {
        CatchUp::None => "does not catch up".to_owned(),
        CatchUp::Last => "catches up with the last time".to_owned(),
        CatchUp::UpTo(most) => format!("catches up with up to {most} times"),
    };
    format!("{overlap}; {catch_up}")
}

#[cfg(test)]
mod tests {
    use whence_schemas::store::SlotStore;

    use super::*;
    use crate::durable::schedules::{Change, Fire};
    use crate::schedule::Schedule;
    use crate::testing::{Stage, spec};

    fn hourly() -> Schedule {
        Schedule {
            when: When::Every { seconds: 3600 },
            overlap: Overlap::Queue,
            catch_up: CatchUp::UpTo(2),
            jitter_seconds: 0,
            jobs: vec![spec("m")],
        }
    }

    /// Makes schedules: one that has fired, one that was deleted, one that is paused, and one whose times
    /// never come.
    async fn make(store: &dyn SlotStore) {
        let set = |schedule: Schedule| Change::Set(Box::new(schedule));
        let never = Schedule {
            when: When::Every { seconds: 0 },
            ..hourly()
        };
        for (name, changes) in [
            ("nightly", vec![set(hourly())]),
            ("gone", vec![set(hourly()), Change::Delete]),
            ("paused", vec![set(hourly()), Change::Pause]),
            ("wrong", vec![set(never)]),
        ] {
            let name = name.parse().unwrap();
            for (number, change) in changes.into_iter().enumerate() {
                let made = schedules::change(store, &name, number as u64, change);
                assert!(made.await.unwrap());
            }
        }
        let id = FireId {
            time_ms: 1_700_000_040_000,
            is_manual: true,
        };
        let fire = Fire {
            outcome: Outcome::Fired,
            jobs: vec![spec("m").id()],
            at_ms: 0,
            epoch: None,
        };
        let name = "nightly".parse().unwrap();
        schedules::decide(store, &name, id, fire).await.unwrap();
    }

    #[tokio::test]
    async fn a_schedule_shows_its_next_time_and_its_last_one() {
        let stage = Stage::new().await;
        let core = &stage.coordinator.core;
        make(core.store.as_ref()).await;
        let lines = read(core).await.unwrap();
        let names: Vec<_> = lines.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["nightly", "paused", "wrong"]);
        let [nightly, paused, wrong] = &lines[..] else {
            panic!("three schedules");
        };
        assert_eq!(nightly.when, "every 1 h 0 min");
        assert_eq!(
            nightly.rules,
            "waits until jobs have ended; catches up with up to 2 times"
        );
        let next = nightly.next.as_deref().unwrap();
        assert!(next.ends_with(":00 UTC"), "{next}");
        let last = LastFire {
            at: "2023-11-14 22:14 UTC".to_owned(),
            outcome: "triggered",
            jobs: vec![spec("m").id()],
        };
        assert_eq!(nightly.last, Some(last));
        assert_eq!((paused.is_paused, &paused.next), (true, &None));
        let problem = wrong.problem.as_deref().unwrap();
        assert!(problem.contains("every 0 seconds"), "{problem}");
    }
}
