//! Schedules in the store: what was asked of them, and what was decided at each of their times.
//!
//! Objects are never overwritten. Each change of a schedule is an object with the next number, and each
//! of its times is an object that is created once: whoever creates it has decided what happens then.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use whence_schemas::store::{Created, Listed, SlotStore};
use whence_schemas::{Epoch, JobId, layout};

use super::{create_json, get_json};
use crate::Error;
use crate::clock::Clock;
use crate::schedule::{Schedule, ScheduleName};

/// What is asked of a schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// To be this, from now on.
    Set(Box<Schedule>),
    /// To fire no more until it is resumed.
    Pause,
    /// To go on. Times in between are over.
    Resume,
    /// To be no more. Its history stays.
    Delete,
}

/// A change, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Revision {
    at_ms: u64,
    change: Change,
}

/// What happened at a time of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fire {
    /// What was decided.
    pub outcome: Outcome,
    /// The jobs, if it fired.
    #[serde(default)]
    pub jobs: Vec<JobId>,
    /// When that was decided, in milliseconds since 1970.
    pub at_ms: u64,
    /// The coordinator that decided it; none if a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
}

/// What is decided about a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The jobs are submitted.
    Fired,
    /// Nothing, because the fire before had not ended.
    Skipped,
    /// Nothing, because no coordinator was there.
    Missed,
}

/// Why the jobs of a fire could not be submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsubmitted {
    /// Why.
    pub message: String,
}

/// The names of a schedule's objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Objects {
    /// How many changes there are.
    pub changes: u64,
    /// Its times that are decided, in order, each with the key of its object.
    pub fires: BTreeMap<FireId, String>,
    /// Keys of the objects that say why jobs could not be submitted.
    pub errors: Vec<String>,
}

/// A time at which a schedule fired, and whether a person asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FireId {
    /// The time, in milliseconds since 1970.
    pub time_ms: u64,
    /// Whether it is none of the schedule's own times.
    pub is_manual: bool,
}

impl Objects {
    /// Returns the last of the schedule's own times up to `now_ms` that is decided.
    ///
    /// Later ones are those of a clock that was ahead. They stay decided, but hold up none before them.
    pub fn last_decided(&self, now_ms: u64) -> Option<u64> {
        let is_own = |fire: &&FireId| !fire.is_manual && fire.time_ms <= now_ms;
        let own = self.fires.keys().rev().find(is_own);
        own.map(|fire| fire.time_ms)
    }

    /// Returns whether one of the schedule's own times is decided.
    pub fn is_decided(&self, time_ms: u64) -> bool {
        let is_manual = false;
        self.fires.contains_key(&FireId { time_ms, is_manual })
    }
}

/// A schedule as its changes have made it.
#[derive(Debug, Clone, PartialEq)]
pub struct Current {
    /// What it is.
    pub schedule: Schedule,
    /// Whether it is paused.
    pub is_paused: bool,
    /// Times before this one are over.
    pub since_ms: u64,
}

/// Lists the objects of all schedules.
pub async fn list(store: &dyn SlotStore) -> Result<BTreeMap<ScheduleName, Objects>, Error> {
    let mut schedules: BTreeMap<ScheduleName, Objects> = BTreeMap::new();
    for Listed { key, .. } in store.list(layout::SCHEDULES).await? {
        let Some((name, object)) = layout::schedule_of_key(&key) else {
            continue;
        };
        let Ok(name) = name.parse() else { continue };
        let objects = schedules.entry(name).or_default();
        match object {
            layout::ScheduleObject::Change(number) => {
                objects.changes = objects.changes.max(number + 1);
            }
            layout::ScheduleObject::Fire { time_ms, is_manual } => {
                let id = FireId { time_ms, is_manual };
                objects.fires.insert(id, key);
            }
            layout::ScheduleObject::Error => objects.errors.push(key),
        }
    }
    Ok(schedules)
}

/// Reads what `changes` changes have made of a schedule; `None` if it was deleted.
///
/// Begins with the last one and reads no more than it needs, so that a schedule whose objects are damaged
/// can be made again or deleted.
pub async fn current(
    store: &dyn SlotStore,
    name: &ScheduleName,
    changes: u64,
) -> Result<Option<Current>, Error> {
    // Whether the last word is a pause or a resumption, and of when.
    let mut last: Option<(bool, u64)> = None;
    for number in (0..changes).rev() {
        let key = layout::schedule_change(name.as_str(), number);
        let Some(Revision { at_ms, change }) = get_json(store, &key).await? else {
            continue;
        };
        match change {
            Change::Delete => return Ok(None),
            Change::Pause => {
                last.get_or_insert((true, at_ms));
            }
            Change::Resume => {
                last.get_or_insert((false, at_ms));
            }
            Change::Set(schedule) => {
                return Ok(Some(Current {
                    schedule: *schedule,
                    is_paused: last.is_some_and(|(is_paused, _)| is_paused),
                    since_ms: match last {
                        Some((false, resumed_ms)) => resumed_ms.max(at_ms),
                        Some((true, _)) | None => at_ms,
                    },
                }));
            }
        }
    }
    Ok(None)
}

/// Writes a change of a schedule that has `changes` of them. Returns whether it was the next one, and
/// not somebody else's.
pub async fn change(
    store: &dyn SlotStore,
    name: &ScheduleName,
    changes: u64,
    change: Change,
) -> Result<bool, Error> {
    let key = layout::schedule_change(name.as_str(), changes);
    let at_ms = Clock::calendar_ms();
    let created = create_json(store, &key, &Revision { at_ms, change }).await?;
    Ok(created == Created::Now)
}

/// Decides what happens at a time, unless that is decided. Returns what was decided.
pub async fn decide(
    store: &dyn SlotStore,
    name: &ScheduleName,
    id: FireId,
    fire: Fire,
) -> Result<Fire, Error> {
    let key = layout::schedule_fire(name.as_str(), id.time_ms, id.is_manual);
    if create_json(store, &key, &fire).await? == Created::Now {
        return Ok(fire);
    }
    let decided = get_json(store, &key).await?;
    decided.ok_or_else(|| Error::Stored {
        key,
        reason: "it was deleted".to_owned(),
    })
}

/// Reads what was decided at a time.
pub async fn fire(store: &dyn SlotStore, key: &str) -> Result<Option<Fire>, Error> {
    get_json(store, key).await
}

/// Reads why the jobs of a fire could not be submitted; `None` if they could.
pub async fn error(
    store: &dyn SlotStore,
    name: &ScheduleName,
    id: FireId,
) -> Result<Option<Unsubmitted>, Error> {
    get_json(
        store,
        &layout::schedule_error(name.as_str(), id.time_ms, id.is_manual),
    )
    .await
}

/// Writes down why the jobs of a fire could not be submitted.
pub async fn record_error(
    store: &dyn SlotStore,
    name: &ScheduleName,
    id: FireId,
    message: String,
) -> Result<(), Error> {
    let key = layout::schedule_error(name.as_str(), id.time_ms, id.is_manual);
    create_json(store, &key, &Unsubmitted { message }).await?;
    Ok(())
}
