//! Rebuilds everything a coordinator knows from the objects below its storage root.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use whence_schemas::store::{Listed, SlotStore, StoreError};
use whence_schemas::{ErrorKind, JobId, JobSpec, Plan, SlotId, chain, layout};

use super::manifest::Manifest;
use super::{get_json, inspect, pauses};
use crate::Error;
use crate::clock::Clock;
use crate::job::{Event, Failure, Job, Rules, SlotState, Tenant, Timestamp};

/// Objects read at the same time. Enough to overlap the round trips without flooding the store.
const READS_AT_ONCE: usize = 32;

/// The content of `submitted.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// When the job was submitted, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who submitted it; none if nobody is told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Tenant>,
}

impl Submitted {
    /// Returns what is recorded of a job that `tenant` submits now.
    pub fn now_by(tenant: Option<&Tenant>) -> Self {
        Self {
            at_ms: Clock::calendar_ms(),
            tenant: tenant.cloned(),
        }
    }
}

/// The objects of some jobs, as they were listed.
pub type Objects = BTreeMap<JobId, Vec<Listed>>;

/// Lists the objects of every job below the storage root: first of those that are still to be done,
/// then of those that have ended.
pub async fn list(store: &dyn SlotStore) -> Result<(Objects, Objects), Error> {
    let mut objects = Objects::new();
    for object in store.list(layout::JOBS).await? {
        let id = object.key.split('/').nth(1).map(str::parse);
        if let Some(Ok(id)) = id {
            objects.entry(id).or_default().push(object);
        }
    }
    let has_ended = |id: &JobId, objects: &[Listed]| {
        let ends = [layout::sealed(id), layout::cancel(id), layout::failed(id)];
        objects.iter().any(|object| ends.contains(&object.key))
    };
    Ok(objects
        .into_iter()
        .partition(|(id, objects)| !has_ended(id, objects)))
}

/// Rebuilds jobs from their objects, several at a time.
///
/// A job whose objects are damaged is logged and left out, so that the others can be served. Fails
/// if the store fails.
pub async fn jobs(
    store: &dyn SlotStore,
    objects: Objects,
    rules: Rules,
    now: Timestamp,
) -> Result<Vec<Job>, Error> {
    let rebuilt = objects.into_iter().map(|(id, objects)| async move {
        match job(store, &id, &objects, rules, now).await {
            Err(error) if error.kind() == ErrorKind::Data => {
                tracing::error!(job = %id, error = chain(&error), "job cannot be recovered");
                Ok(None)
            }
            other => other,
        }
    });
    let rebuilt: Vec<Option<Job>> = stream::iter(rebuilt)
        .buffer_unordered(READS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(rebuilt.into_iter().flatten().collect())
}

/// Rebuilds the job `id` from its `objects`; `None` if its submission was never completed.
pub async fn job(
    store: &dyn SlotStore,
    id: &JobId,
    objects: &[Listed],
    rules: Rules,
    now: Timestamp,
) -> Result<Option<Job>, Error> {
    let Some(spec) = get_json::<JobSpec>(store, &layout::spec(id)).await? else {
        return Ok(None);
    };
    let spec = Arc::new(spec);
    let submitted: Option<Submitted> = get_json(store, &layout::submitted(id)).await?;
    let (submitted_ms, tenant) = submitted.map_or((0, None), |by| (by.at_ms, by.tenant));
    let stands = |key: String| objects.iter().any(|object| object.key == key);
    // A sealed job needs neither its plan nor its slots any more: the manifest has the totals.
    if stands(layout::sealed(id))
        && let Some(manifest) = get_json::<Manifest>(store, &layout::sealed(id)).await?
    {
        let job = Job::sealed(spec, submitted_ms, manifest.totals(), rules);
        return Ok(Some(job.of_tenant(tenant)));
    }
    // The plan is written before the specification, so it exists if the specification does.
    let Some(plan) = get_json::<Plan>(store, &layout::plan(id)).await? else {
        return Ok(None);
    };
    let job = Job::new(spec, Arc::new(plan), submitted_ms, rules, now);
    let mut job = job.of_tenant(tenant);
    for object in unknown_slots(store, &job).await? {
        job.apply(object, now);
    }
    // Failures come after the slots: those of a filled or split slot no longer count, and those of
    // its halves need the halves to exist.
    for failure in failures(store, id, objects).await? {
        job.apply(Event::FoundFailure(failure), now);
    }
    let is_paused = pauses::is_paused(store, id, objects).await?;
    job.apply(Event::Paused(is_paused), now);
    if stands(layout::cancel(id)) {
        job.apply(Event::Cancelled, now);
    } else if stands(layout::failed(id)) {
        let failed: Option<Failed> = get_json(store, &layout::failed(id)).await?;
        let message = failed.map_or_else(String::new, |failed| failed.message);
        job.apply(Event::FoundFailed(message), now);
    }
    Ok(Some(job))
}

/// The content of `failed.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Why, and what to do.
    pub message: String,
}

/// Lists a job's table and reads every slot object that the job does not know yet.
///
/// Returns one event per object, with split slots before their halves.
pub async fn unknown_slots(store: &dyn SlotStore, job: &Job) -> Result<Vec<Event>, Error> {
    let found = unread_slots(job, store.list(job.table()).await?);
    read_slots(store, found).await
}

/// Returns the listed slots that `job` does not yet know to be filled or split, in slot order.
pub fn unread_slots(job: &Job, listed: Vec<Listed>) -> Vec<(SlotId, Listed)> {
    let found = listed.into_iter().filter_map(|object| {
        let slot = layout::slot_of_key(&object.key)?;
        let is_known = matches!(
            job.slot(&slot),
            Some(SlotState::Filled(_) | SlotState::Split { .. })
        );
        (!is_known).then_some((slot, object))
    });
    let mut found: Vec<_> = found.collect();
    // A slot's id is a prefix of the ids of its halves, so it sorts before them. The job has to
    // hear of the split first, because only then do the halves exist for it.
    found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    found
}

/// Reads the footers of the slot objects `found`. Returns one event per slot, in the same order. An
/// object without a footer is damaged.
pub async fn read_slots(
    store: &dyn SlotStore,
    found: Vec<(SlotId, Listed)>,
) -> Result<Vec<Event>, Error> {
    let reads = found.into_iter().map(|(slot, object)| async move {
        match inspect(store, &object).await {
            Ok(seen) => Ok::<_, Error>(seen.seen_in(slot, 0)),
            Err(StoreError::Damaged { reason, .. }) => Ok(Event::Damaged { slot, reason }),
            Err(other) => Err(other.into()),
        }
    });
    stream::iter(reads)
        .buffered(READS_AT_ONCE)
        .try_collect()
        .await
}

/// Reads the recorded failures of a job's attempts.
async fn failures(
    store: &dyn SlotStore,
    id: &JobId,
    objects: &[Listed],
) -> Result<Vec<Failure>, Error> {
    let folder = format!("{}/", layout::failures(id));
    let keys: Vec<String> = objects
        .iter()
        .filter(|object| object.key.starts_with(&folder))
        .map(|object| object.key.clone())
        .collect();
    let reads = keys
        .into_iter()
        .map(|key| async move { get_json(store, &key).await });
    let found: Vec<Option<Failure>> = stream::iter(reads)
        .buffered(READS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests;
