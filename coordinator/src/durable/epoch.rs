//! Epochs: each coordinator of a storage root claims the next number when it starts. An older one
//! steps down when it sees a newer epoch.
//!
//! Two coordinators that serve at once waste work but do no harm, because a slot can be filled only
//! once. It is therefore safe if the older one notices late.

use serde::{Deserialize, Serialize};
use whence_schemas::store::{Created, SlotStore};
use whence_schemas::{Epoch, layout};

use super::create_json;
use crate::Error;

/// The content of an epoch's object. No program reads it; it is there for people who investigate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// When the epoch was claimed, in milliseconds since 1970.
    pub at_ms: u64,
    /// Process id on the coordinator's machine.
    pub process: u32,
    /// Version of the program.
    pub code_version: String,
}

/// Claims the next epoch of the storage root and returns it.
pub async fn claim(store: &dyn SlotStore, claim: &Claim) -> Result<Epoch, Error> {
    loop {
        let epoch = Epoch(newest(store).await?.0 + 1);
        // If another coordinator claimed it first, its claim is in the next listing: try again.
        if create_json(store, &layout::epoch(epoch), claim).await? == Created::Now {
            return Ok(epoch);
        }
    }
}

/// Returns the newest epoch that was claimed; 0 if there is none.
pub async fn newest(store: &dyn SlotStore) -> Result<Epoch, Error> {
    let claims = store.list(layout::EPOCHS).await?;
    let numbers = claims.iter().filter_map(|claim| {
        let name = claim.key.rsplit('/').next()?;
        name.strip_suffix(".json")?.parse().ok()
    });
    Ok(Epoch(numbers.max().unwrap_or(0)))
}
