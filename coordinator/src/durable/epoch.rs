//! Epochs: each coordinator of a storage root claims the next number when it starts. An older one
//! steps down when it sees a newer epoch.
//!
//! Two coordinators that serve at once waste work but do no harm, because a slot can be filled only
//! once. It is therefore safe if the older one notices late.

use serde::{Deserialize, Serialize};
use whence_schemas::store::{Created, SlotStore};
use whence_schemas::{CrashPoint, Epoch, layout};

use super::{create_json, get_json};
use crate::Error;

/// The content of an epoch's object, for people who investigate and for the next coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// When the epoch was claimed, in milliseconds since 1970.
    pub at_ms: u64,
    /// Process id on the coordinator's machine.
    pub process: u32,
    /// Version of the program.
    pub code_version: String,
    /// Where it listens; none if others cannot reach it.
    #[serde(default)]
    pub address: Option<String>,
    /// Whether connections to it are encrypted.
    #[serde(default)]
    pub is_encrypted: bool,
}

impl Claim {
    /// Returns the name under which the coordinator says that it serves. It differs from that of every
    /// other coordinator, also of other roots.
    pub fn name(&self) -> String {
        format!("whence.coordinator.{}.{}", self.at_ms, self.process)
    }
}

/// Claims the next epoch of the storage root and returns it.
pub async fn claim(store: &dyn SlotStore, claim: &Claim) -> Result<Epoch, Error> {
    loop {
        let epoch = Epoch(newest(store).await?.0 + 1);
        // If another coordinator claimed it first, its claim is in the next listing: try again.
        if create_json(store, &layout::epoch(epoch), claim).await? == Created::Now {
            CrashPoint::CoordinatorClaimed.pass();
            return Ok(epoch);
        }
    }
}

/// Returns the newest claim and its epoch; none if there is none.
pub async fn newest_claim(store: &dyn SlotStore) -> Result<Option<(Epoch, Claim)>, Error> {
    let epoch = newest(store).await?;
    let claim: Option<Claim> = get_json(store, &layout::epoch(epoch)).await?;
    Ok(claim.map(|claim| (epoch, claim)))
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::JoinSet;

    use super::*;
    use crate::testing::store;

    fn ours() -> Claim {
        Claim {
            at_ms: 0,
            process: 1,
            code_version: "1".to_owned(),
            address: None,
            is_encrypted: false,
        }
    }

    #[tokio::test]
    async fn of_coordinators_that_start_at_once_each_claims_an_epoch_of_its_own() {
        let (store, _root) = store();
        let store = Arc::new(store);
        let mut claims = JoinSet::new();
        for _ in 0..8 {
            let store = Arc::clone(&store);
            claims.spawn(async move { claim(store.as_ref(), &ours()).await.unwrap().0 });
        }
        let mut epochs = claims.join_all().await;
        epochs.sort_unstable();
        assert_eq!(epochs, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(newest(store.as_ref()).await.unwrap(), Epoch(8));
    }

    #[tokio::test]
    async fn what_names_no_epoch_is_not_counted() {
        let (store, _root) = store();
        for name in ["notes.txt", "x.json", "-1.json", "9.json.bak"] {
            let key = format!("{}/{name}", layout::EPOCHS);
            store.create(&key, "{}".into()).await.unwrap();
        }
        assert_eq!(newest(&store).await.unwrap(), Epoch(0));
        assert_eq!(claim(&store, &ours()).await.unwrap(), Epoch(1));
    }
}
