//! A storage root: whether it can be trusted with slots, and whether it is ours.

use serde::{Deserialize, Serialize};
use whence_schemas::layout;
use whence_schemas::store::{Created, SlotStore, probe};

use super::{create_json, get_json};
use crate::Error;

/// What stands in `format.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Format {
    layout_version: u32,
}

/// Checks that `store` creates objects once and has, or now gets, this version's layout.
///
/// Fails with [`whence_schemas::store::StoreError::Unsafe`] on a store that overwrites, and with
/// [`Error::Stored`] on a root of another version.
pub async fn check(store: &dyn SlotStore) -> Result<(), Error> {
    probe(store).await?;
    let ours = Format {
        layout_version: layout::LAYOUT_VERSION,
    };
    if create_json(store, layout::FORMAT, &ours).await? == Created::Now {
        return Ok(());
    }
    is_root(store).await.map(|_| ())
}

/// Returns whether `store` holds a storage root. Only reads.
///
/// Fails with [`Error::Stored`] on a root of another version.
pub async fn is_root(store: &dyn SlotStore) -> Result<bool, Error> {
    let Some(found) = get_json::<Format>(store, layout::FORMAT).await? else {
        return Ok(false);
    };
    if found.layout_version == layout::LAYOUT_VERSION {
        return Ok(true);
    }
    Err(Error::Stored {
        key: layout::FORMAT.to_owned(),
        reason: format!(
            "the root has layout version {}, this program reads and writes {}; use the program's \
             version or another root",
            found.layout_version,
            layout::LAYOUT_VERSION
        ),
    })
}
