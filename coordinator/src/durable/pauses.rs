//! Whether a job is paused: the newest of the numbered objects that pause it and let it go on.
//!
//! Objects are never overwritten, so each change is an object of its own, with the next number.

use serde::{Deserialize, Serialize};
use whence_schemas::store::{Created, Listed, SlotStore};
use whence_schemas::{JobId, layout};

use super::{create_json, get_json};
use crate::Error;
use crate::clock::Clock;

/// The content of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Whether the job is paused from here on.
    pub is_paused: bool,
    /// When that was asked for, in milliseconds since 1970.
    pub at_ms: u64,
}

/// Returns whether the job `id`, which has these objects, is paused.
pub async fn is_paused(
    store: &dyn SlotStore,
    id: &JobId,
    objects: &[Listed],
) -> Result<bool, Error> {
    let Some(number) = newest(objects) else {
        return Ok(false);
    };
    let found: Option<Pause> = get_json(store, &layout::pause(id, number)).await?;
    Ok(found.is_some_and(|pause| pause.is_paused))
}

/// Pauses the job `id` or lets it go on, unless that is already so.
pub async fn set(store: &dyn SlotStore, id: &JobId, is_paused: bool) -> Result<(), Error> {
    loop {
        let objects = store.list(&layout::pauses(id)).await?;
        if self::is_paused(store, id, &objects).await? == is_paused {
            return Ok(());
        }
        let number = newest(&objects).map_or(0, |number| number + 1);
        let pause = Pause {
            is_paused,
            at_ms: Clock::calendar_ms(),
        };
        // If somebody else took the number, the next listing has theirs.
        if create_json(store, &layout::pause(id, number), &pause).await? == Created::Now {
            return Ok(());
        }
    }
}

fn newest(objects: &[Listed]) -> Option<u64> {
    let numbers = objects
        .iter()
        .filter_map(|object| layout::pause_of_key(&object.key));
    numbers.max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::store;

    #[tokio::test]
    async fn the_last_word_counts_and_repeating_it_writes_nothing() {
        let (store, _root) = store();
        let id = JobId::of("x");
        for (is_paused, objects) in [
            (false, 0),
            (true, 1),
            (true, 1),
            (false, 2),
            (false, 2),
            (true, 3),
        ] {
            set(&store, &id, is_paused).await.unwrap();
            let listed = store.list(&layout::pauses(&id)).await.unwrap();
            assert_eq!(listed.len(), objects);
            let found = super::is_paused(&store, &id, &listed).await.unwrap();
            assert_eq!(found, is_paused);
        }
    }
}
