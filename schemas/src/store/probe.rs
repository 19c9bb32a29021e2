//! Checks that a store keeps its one promise: of many who create an object, exactly one succeeds.
//!
//! Some S3-compatible servers accept the condition and ignore it, and would silently corrupt
//! tables. The checks detect those. They cannot prove that a store is atomic; the documentation lists
//! the stores that are.

use std::time::Duration;

use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use tokio::time::Instant;
use ulid::Ulid;

use super::{Created, SlotStore, StoreError};
use crate::layout;

/// Number of keys that are raced for: enough to catch a store that sometimes lets two writers win,
/// few enough to take almost no time.
const KEYS: usize = 8;
/// Number of concurrent writers per key.
const WRITERS: usize = 16;
/// Name of the object that is created twice.
const TWICE: &str = "twice";
/// What the first and the second writer of that object write.
const FIRST: &[u8] = b"1";
const SECOND: &[u8] = b"2";

/// What is wrong with a store that ignores conditions.
const OVERWROTE: &str = "it replaced an object that was to be created only if absent";

/// One check that a store has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was checked.
    pub what: String,
    /// How long it took.
    pub took: Duration,
}

/// What the checks of a store have found.
#[derive(Debug)]
pub struct Examination {
    /// Folder of the objects that were created. They stay, because nothing can delete objects.
    pub folder: String,
    /// The checks that were passed, in their order.
    pub passed: Vec<Check>,
    /// The first check that was not passed, and why.
    pub failed: Option<(String, StoreError)>,
}

/// Checks that `store` creates objects only once, and lists them as soon as they are created.
///
/// The full check runs once per root and leaves a marker. Later calls only try to create the marker
/// again, which a correct store refuses. Fails with [`StoreError::Unsafe`] if the store must not be
/// used, and with [`StoreError::Unavailable`] if it does not answer.
pub async fn probe(store: &dyn SlotStore) -> Result<(), StoreError> {
    let passed = Bytes::from_static(b"{}");
    if store.head(layout::PROBED).await?.is_some() {
        let again = store.create(layout::PROBED, passed).await?;
        return unsafe_if(store, again == Created::Now, OVERWROTE);
    }
    if let Some((_, error)) = examine(store).await.failed {
        return Err(error);
    }
    store.create(layout::PROBED, passed).await?;
    Ok(())
}

/// Does every check, whether or not the root was checked before, until one fails.
pub async fn examine(store: &dyn SlotStore) -> Examination {
    let mut examination = Examination {
        folder: format!("{}/{}", layout::PROBES, Ulid::new()),
        passed: Vec::new(),
        failed: None,
    };
    for step in Step::ALL {
        let start = Instant::now();
        let outcome = step.check(store, &examination.folder).await;
        let (what, took) = (step.describe(), start.elapsed());
        if let Err(error) = outcome {
            examination.failed = Some((what, error));
            break;
        }
        examination.passed.push(Check { what, took });
    }
    examination
}

/// A check. Later ones look at the objects of earlier ones.
#[derive(Debug, Clone, Copy)]
enum Step {
    CreateTwice,
    ReadBack,
    Race,
    List,
}

impl Step {
    const ALL: [Self; 4] = [Self::CreateTwice, Self::ReadBack, Self::Race, Self::List];

    fn describe(self) -> String {
        match self {
            Self::CreateTwice => "create an object twice".to_owned(),
            Self::ReadBack => "read it back".to_owned(),
            Self::Race => format!("{WRITERS} writers race for each of {KEYS} objects"),
            Self::List => format!("list all {} objects", KEYS + 1),
        }
    }

    async fn check(self, store: &dyn SlotStore, folder: &str) -> Result<(), StoreError> {
        let twice = format!("{folder}/{TWICE}");
        match self {
            Self::CreateTwice => {
                store.create(&twice, Bytes::from_static(FIRST)).await?;
                let second = store.create(&twice, Bytes::from_static(SECOND)).await?;
                unsafe_if(store, second == Created::Now, OVERWROTE)
            }
            Self::ReadBack => {
                let kept = store.get(&twice).await?;
                let has_changed = kept.as_deref() != Some(FIRST);
                unsafe_if(store, has_changed, "an object changed after it was created")
            }
            Self::Race => {
                let races = (0..KEYS).map(|key| race(store, format!("{folder}/{key}")));
                try_join_all(races).await.map(|_| ())
            }
            Self::List => {
                let listed = store.list(folder).await?.len();
                let expected = KEYS + 1;
                let finding = format!("it lists {listed} of {expected} objects just created");
                unsafe_if(store, listed != expected, &finding)
            }
        }
    }
}

/// Lets writers race for `key`. Fails unless the object is that of the only winner.
async fn race(store: &dyn SlotStore, key: String) -> Result<(), StoreError> {
    let written: Vec<_> = (0..WRITERS)
        .map(|writer| Bytes::from(writer.to_string()))
        .collect();
    let writers = written
        .iter()
        .map(|bytes| store.create(&key, bytes.clone()));
    let mut winners = Vec::new();
    for (outcome, bytes) in join_all(writers).await.into_iter().zip(&written) {
        if outcome? == Created::Now {
            winners.push(bytes);
        }
    }
    let several = format!("{} of {WRITERS} racing writers won", winners.len());
    unsafe_if(store, winners.len() > 1, &several)?;
    let kept = store.get(&key).await?;
    // The answer to the winner may be lost. Then its second try finds its own object in the way, and
    // nobody has won.
    let is_of_winner = kept.is_some_and(|kept| match winners[..] {
        [winner] => kept == winner,
        _ => written.contains(&kept),
    });
    unsafe_if(
        store,
        !is_of_winner,
        "an object is not that of the writer who created it",
    )
}

fn unsafe_if(store: &dyn SlotStore, is_unsafe: bool, finding: &str) -> Result<(), StoreError> {
    if is_unsafe {
        return Err(StoreError::Unsafe {
            url: store.url().to_owned(),
            finding: finding.to_owned(),
        });
    }
    Ok(())
}
