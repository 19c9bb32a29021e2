//! Epochs: which coordinator is the newest. An older one steps down when it hears of a newer.
//!
//! Two that serve at once waste work and do no harm, so hearing of it late is no danger.

use serde::{Deserialize, Serialize};
use whence_schemas::store::{Created, SlotStore};
use whence_schemas::{Epoch, layout};

use super::create_json;
use crate::Error;

/// What stands in an epoch's object, for people who look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// Process id on the coordinator's machine.
    pub process: u32,
    /// Version of the program.
    pub code_version: String,
}

/// Claims the next epoch of the storage root.
pub async fn claim(store: &dyn SlotStore, claim: &Claim) -> Result<Epoch, Error> {
    loop {
        let epoch = Epoch(newest(store).await?.0 + 1);
        // Losing a race costs a turn of the loop: the winner's claim is in the next listing.
        if create_json(store, &layout::epoch(epoch), claim).await? == Created::Now {
            return Ok(epoch);
        }
    }
}

/// Returns the newest epoch claimed; 0 if none was.
pub async fn newest(store: &dyn SlotStore) -> Result<Epoch, Error> {
    let claims = store.list(layout::EPOCHS).await?;
    let numbers = claims.iter().filter_map(|claim| {
        let name = claim.key.rsplit('/').next()?;
        name.strip_suffix(".json")?.parse().ok()
    });
    Ok(Epoch(numbers.max().unwrap_or(0)))
}
