//! A schedule of a storage root.

use std::sync::Arc;

use whence_coordinator::durable::schedules::{self, Change, Current, Objects};
use whence_coordinator::schedule::ScheduleName;
use whence_schemas::store::{self, SlotStore};

use crate::Failure;
use crate::results::open_root;

/// A schedule, and the store that it is in.
pub(super) struct Stored {
    pub(super) store: Arc<dyn SlotStore>,
    pub(super) name: ScheduleName,
    pub(super) objects: Objects,
    pub(super) current: Current,
}

impl Stored {
    /// Reads a schedule. Fails if there is none of this name.
    pub(super) async fn open(root: &str, name: &ScheduleName) -> Result<Self, Failure> {
        let (store, objects) = objects(root, name).await?;
        let current = schedules::current(store.as_ref(), name, objects.changes).await;
        let current = current.map_err(|error| damaged(name, error))?;
        Ok(Self {
            current: current.ok_or_else(|| missing(root, name))?,
            name: name.clone(),
            objects,
            store,
        })
    }

    /// Changes the schedule. Fails if somebody else did at the same moment.
    pub(super) async fn change(&self, change: Change) -> Result<(), Failure> {
        change_from(
            self.store.as_ref(),
            &self.name,
            self.objects.changes,
            change,
        )
        .await
    }
}

/// Opens a root, and lists the objects of a schedule in it. Fails if there are none.
async fn objects(
    root: &str,
    name: &ScheduleName,
) -> Result<(Arc<dyn SlotStore>, Objects), Failure> {
    // Checks that it is a root, which opening it for writing does not.
    open_root(root).await?;
    let store = store::open(root)?;
    let objects = schedules::list(store.as_ref()).await?.remove(name);
    Ok((store, objects.ok_or_else(|| missing(root, name))?))
}

/// Deletes a schedule, also if its objects are damaged.
pub(super) async fn delete(root: &str, name: &ScheduleName) -> Result<(), Failure> {
    let (store, objects) = objects(root, name).await?;
    let current = schedules::current(store.as_ref(), name, objects.changes).await;
    if matches!(current, Ok(None)) {
        return Err(missing(root, name));
    }
    change_from(store.as_ref(), name, objects.changes, Change::Delete).await
}

fn missing(root: &str, name: &ScheduleName) -> Failure {
    Failure::request(format!("there is no schedule `{name}` in `{root}`"))
        .hint(format!("whence schedule list --root {root}"))
}

/// Words that a schedule cannot be read.
pub(super) fn damaged(name: &ScheduleName, error: impl Into<Failure>) -> Failure {
    let failure = error.into().in_context(&format!("schedule `{name}`:"));
    failure.hint("make it again with `whence schedule create`, or delete it")
}

/// Makes the change that follows the first `changes` ones.
pub(super) async fn change_from(
    store: &dyn SlotStore,
    name: &ScheduleName,
    changes: u64,
    change: Change,
) -> Result<(), Failure> {
    if schedules::change(store, name, changes, change).await? {
        return Ok(());
    }
    let told = format!("schedule `{name}` was changed by somebody else at this moment");
    Err(Failure::run(told).hint(format!("look at it with `whence schedule show {name}`")))
}

/// Returns the time in milliseconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "a person asks for what happens at this time of the calendar"
)]
pub(super) fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
