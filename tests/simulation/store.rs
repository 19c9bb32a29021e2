//! A store that fails as real ones do: it is slow, refuses, loses requests, and loses answers.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;
use whence_schemas::store::{Created, Listed, SlotStore, StoreError};
use whence_tests::seeds::Random;

/// Of a hundred requests, so many are refused.
const REFUSED: usize = 5;
/// Of a hundred requests, so many never arrive. The caller hears of it late.
const LOST: usize = 2;
/// Of a hundred creations, so many are carried out, and the caller hears that they failed.
const UNACKNOWLEDGED: usize = 2;
/// Of a hundred requests, so many take seconds.
const SLOW: usize = 3;
/// How long the caller of a lost request waits.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The store of all machines of a simulation.
#[derive(Debug)]
pub(crate) struct FailingStore {
    url: String,
    contents: Mutex<Contents>,
}

#[derive(Debug)]
struct Contents {
    objects: BTreeMap<String, Bytes>,
    random: Random,
    is_failing: bool,
    faults: usize,
}

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Good,
    Refused,
    Lost,
    Unacknowledged,
}

impl FailingStore {
    /// Makes an empty store, whose faults follow from `random`.
    pub(crate) fn new(url: &str, random: Random) -> Arc<Self> {
        Arc::new(Self {
            url: url.to_owned(),
            contents: Mutex::new(Contents {
                objects: BTreeMap::new(),
                random,
                is_failing: false,
                faults: 0,
            }),
        })
    }

    /// Begins to fail, or stops.
    pub(crate) fn set_failing(&self, is_failing: bool) {
        self.lock().is_failing = is_failing;
    }

    /// Returns how many requests went wrong.
    pub(crate) fn faults(&self) -> usize {
        self.lock().faults
    }

    /// Writes all objects below `folder`.
    pub(crate) fn download(&self, folder: &Path) {
        for (key, bytes) in &self.lock().objects {
            let path = folder.join(key);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, bytes).expect("a copy");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().expect("no holder panics")
    }

    /// Lets time pass, and decides what happens to a request.
    async fn fate(&self) -> Fate {
        let (fate, pause) = {
            let mut contents = self.lock();
            let fate = contents.fate();
            contents.faults += usize::from(fate != Fate::Good);
            (fate, contents.pause(fate))
        };
        sleep(pause).await;
        fate
    }

    fn failed(&self, action: &'static str, key: &str) -> StoreError {
        StoreError::Unavailable {
            url: self.url.clone(),
            action,
            key: key.to_owned(),
            source: "the simulation wants it".into(),
        }
    }

    /// Fails unless the request is carried out and answered.
    async fn arrives(&self, action: &'static str, key: &str) -> Result<(), StoreError> {
        match self.fate().await {
            Fate::Good | Fate::Unacknowledged => Ok(()),
            Fate::Refused | Fate::Lost => Err(self.failed(action, key)),
        }
    }
}

impl Contents {
    fn fate(&mut self) -> Fate {
        if !self.is_failing {
            return Fate::Good;
        }
        match self.random.below(100) {
            chosen if chosen < REFUSED => Fate::Refused,
            chosen if chosen < REFUSED + LOST => Fate::Lost,
            chosen if chosen < REFUSED + LOST + UNACKNOWLEDGED => Fate::Unacknowledged,
            _ => Fate::Good,
        }
    }

    fn pause(&mut self, fate: Fate) -> Duration {
        let is_slow = self.is_failing && self.random.below(100) < SLOW;
        match fate {
            Fate::Lost | Fate::Unacknowledged => TIMEOUT,
            _ if is_slow => Duration::from_millis(1000 + self.random.below(29_000) as u64),
            _ => Duration::from_millis(5 + self.random.below(100) as u64),
        }
    }
}

#[tonic::async_trait]
impl SlotStore for FailingStore {
    async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, StoreError> {
        let fate = self.fate().await;
        if matches!(fate, Fate::Refused | Fate::Lost) {
            return Err(self.failed("create", key));
        }
        let mut contents = self.lock();
        let is_new = !contents.objects.contains_key(key);
        if is_new {
            contents.objects.insert(key.to_owned(), bytes);
        }
        match (fate, is_new) {
            (Fate::Unacknowledged, _) => Err(self.failed("create", key)),
            (_, true) => Ok(Created::Now),
            (_, false) => Ok(Created::Already),
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        self.arrives("read", key).await?;
        Ok(self.lock().objects.get(key).cloned())
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.arrives("read", key).await?;
        let contents = self.lock();
        let object = contents.objects.get(key);
        let object = object.ok_or_else(|| self.failed("read", key))?;
        Ok(object.slice(range.start as usize..range.end as usize))
    }

    async fn head(&self, key: &str) -> Result<Option<Listed>, StoreError> {
        self.arrives("look at", key).await?;
        let contents = self.lock();
        Ok(contents.objects.get(key).map(|bytes| Listed {
            key: key.to_owned(),
            bytes: bytes.len() as u64,
        }))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        self.arrives("list", prefix).await?;
        let folder = format!("{}/", prefix.trim_end_matches('/'));
        let contents = self.lock();
        let below = contents
            .objects
            .iter()
            .filter(|(key, _)| key.starts_with(&folder));
        let listed = below.map(|(key, bytes)| Listed {
            key: key.clone(),
            bytes: bytes.len() as u64,
        });
        Ok(listed.collect())
    }

    fn url(&self) -> &str {
        &self.url
    }
}
