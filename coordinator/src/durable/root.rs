//! Checks of a storage root: whether its store is safe to use, and whether its layout version is
//! the one that this program reads and writes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use whence_schemas::retry::{GaveUp, RetryPolicy, retry};
use whence_schemas::store::{Created, SlotStore, probe};
use whence_schemas::{chain, layout};

use super::{create_json, get_json};
use crate::Error;

/// How long a store may refuse or break connections before it counts as one that does not answer.
const ANSWERS_WITHIN: RetryPolicy = RetryPolicy {
    first_pause: Duration::from_millis(200),
    longest_pause: Duration::from_secs(1),
    give_up_after: Duration::from_secs(5),
};

/// The content of `format.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Format {
    layout_version: u32,
}

/// Checks that `store` never overwrites objects and that its layout version is ours. A new root
/// gets our version.
///
/// Fails with [`whence_schemas::store::StoreError::Unsafe`] if the store overwrites objects, with
/// [`Error::Stored`] if the root has another layout version, and if the store does not answer for a
/// while.
pub async fn check(store: &dyn SlotStore) -> Result<(), Error> {
    let waits = |error: &Error, _| {
        tracing::warn!(
            error = chain(error),
            "the store cannot be checked, trying again"
        );
    };
    let checked = retry(ANSWERS_WITHIN, Error::kind, waits, || check_once(store)).await;
    checked.map_err(GaveUp::into_error)
}

async fn check_once(store: &dyn SlotStore) -> Result<(), Error> {
    probe(store).await?;
    let ours = Format {
        layout_version: layout::LAYOUT_VERSION,
    };
    if create_json(store, layout::FORMAT, &ours).await? == Created::Now {
        return Ok(());
    }
    // The root existed already, so its version may be another one.
    is_root(store).await.map(|_| ())
}

/// Returns whether `store` holds a storage root. Writes nothing.
///
/// Fails with [`Error::Stored`] if the root has another layout version.
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

#[cfg(test)]
mod tests {
    use whence_schemas::ErrorKind;
    use whence_schemas::store::open_to_read;

    use super::*;
    use crate::testing::store;

    #[tokio::test]
    async fn a_new_root_gets_our_layout_version_and_is_then_a_root() {
        let (store, _root) = store();
        check(&store).await.unwrap();
        assert!(is_root(&store).await.unwrap());
        check(&store).await.unwrap();
    }

    #[tokio::test]
    async fn a_folder_is_not_made_a_root_by_looking_at_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = open_to_read(folder.path().to_str().unwrap()).unwrap();
        assert!(!is_root(store.as_ref()).await.unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_root_of_another_layout_is_refused_and_left_as_it_is() {
        for (format, named) in [
            (r#"{"layout_version":999}"#, "layout version 999"),
            ("not JSON", "expected"),
        ] {
            let (store, _root) = store();
            store.create(layout::FORMAT, format.into()).await.unwrap();
            let refused = check(&store).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Data);
            let message = refused.to_string();
            assert!(
                message.contains(layout::FORMAT) && message.contains(named),
                "{message}"
            );
            let found = store.get(layout::FORMAT).await.unwrap();
            assert_eq!(found, Some(format.into()));
        }
    }
}
