//! Results that the store does not take, kept on disk until it does.
//!
//! An outage of the store must not cost what was computed. A result that cannot be committed goes to a
//! file, its worker takes the next lease, and the file is committed when the store answers again. A
//! process that dies leaves its files behind; the next one on this machine commits them.
//!
//! What must stay true: a file only ever becomes an object by [`commit`], so that a slot that was filled
//! meanwhile stays as it is. The files take no more room than was allowed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use whence_proto::v1::Outcome;
use whence_schemas::retry::{RetryPolicy, jitter};
use whence_schemas::store::{LocalSlotStore, SlotStore, StoreError, read_footer};
use whence_schemas::{Attempt, ErrorKind, JobSpec, chain, layout};

use crate::commit::{COMMITTING, ONCE, commit};

/// How often the store is asked whether it takes the result now.
const DELIVERING: RetryPolicy = RetryPolicy {
    first_pause: Duration::from_secs(1),
    longest_pause: Duration::from_secs(30),
    give_up_after: Duration::MAX,
};
/// How long the last try may take when the worker must end.
const LAST_TRY: Duration = Duration::from_secs(10);
/// Name of the file that the process which owns a folder holds locked.
const LOCK: &str = "lock";

/// The room on disk of one worker for one store. Clones share it.
#[derive(Debug, Clone)]
pub struct Spool(Arc<Room>);

#[derive(Debug)]
struct Room {
    /// The folder of all workers of this machine for this store.
    shared: PathBuf,
    /// The folder of this worker, with its locked file, once it was needed.
    own: Mutex<Option<(PathBuf, File)>>,
    limit: u64,
    used: AtomicU64,
}

impl Drop for Room {
    fn drop(&mut self) {
        let own = self.own.get_mut().expect("no holder panics");
        if let Some((folder, _)) = own {
            remove_if_empty(folder);
        }
    }
}

impl Spool {
    /// Returns the room below `folder` for results that the store at `store_url` does not take, at most
    /// `limit` bytes. Nothing is written before it is needed.
    pub fn new(folder: &Path, limit: u64, store_url: &str) -> Self {
        let store = blake3::hash(store_url.as_bytes()).to_hex();
        Self(Arc::new(Room {
            shared: folder.join(&store.as_str()[..16]),
            own: Mutex::new(None),
            limit,
            used: AtomicU64::new(0),
        }))
    }

    /// Keeps `bytes`, the object of the slot `key`. Returns `None` if there is no room for it.
    ///
    /// Fails if the disk does not take it.
    pub(crate) fn keep(
        &self,
        key: &str,
        attempt: &Attempt,
        bytes: &[u8],
    ) -> std::io::Result<Option<Kept>> {
        let size = bytes.len() as u64;
        let room = &self.0;
        let taken = room.used.fetch_add(size, Ordering::Relaxed);
        let mut kept = Kept {
            path: None,
            key: key.to_owned(),
            attempt: attempt.clone(),
            bytes: size,
            room: Arc::clone(room),
        };
        if taken.saturating_add(size) > room.limit {
            return Ok(None);
        }
        let path = room.own()?.join(format!("{attempt}.parquet"));
        kept.path = Some(path.clone());
        fs::write(&path, bytes)?;
        Ok(Some(kept))
    }

    /// Returns whether results wait here, so that the store is known to be away.
    pub(crate) fn is_waiting(&self) -> bool {
        self.0.used.load(Ordering::Relaxed) > 0
    }

    /// Commits to `store` what processes that are gone have left behind, until `stop`.
    pub(crate) async fn deliver_left_behind(
        &self,
        store: &dyn SlotStore,
        stop: &CancellationToken,
    ) {
        for (folder, _lock) in self.left_behind() {
            let delivered = deliver_folder(&folder, store, stop).await;
            if let Err(error) = delivered {
                let (folder, cause) = (folder.display(), chain(&error));
                warn!(%folder, cause, "results that were left behind are not committed");
            }
            remove_if_empty(&folder);
        }
    }

    /// Returns the folders of processes that are gone, with their locks.
    fn left_behind(&self) -> Vec<(PathBuf, File)> {
        let entries = fs::read_dir(&self.0.shared).into_iter().flatten();
        let folders = entries.flatten().map(|entry| entry.path());
        let unowned = folders.filter_map(|folder| {
            let lock = File::open(folder.join(LOCK)).ok()?;
            lock.try_lock().is_ok().then_some((folder, lock))
        });
        unowned.collect()
    }
}

impl Room {
    /// Returns the folder of this worker, which it makes and locks when it is first needed.
    fn own(&self) -> std::io::Result<PathBuf> {
        let mut own = self.own.lock().expect("no holder panics");
        if let Some((folder, _)) = &*own {
            return Ok(folder.clone());
        }
        let folder = self.shared.join(ulid::Ulid::new().to_string());
        fs::create_dir_all(&folder)?;
        let lock = File::create(folder.join(LOCK))?;
        lock.lock()?;
        *own = Some((folder.clone(), lock));
        Ok(folder)
    }
}

/// A result on disk. Dropped, its file is removed, unless it is left behind.
#[derive(Debug)]
pub struct Kept {
    /// The file, unless there was no room for it or it is left behind.
    path: Option<PathBuf>,
    key: String,
    attempt: Attempt,
    bytes: u64,
    room: Arc<Room>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.room.used.fetch_sub(self.bytes, Ordering::Relaxed);
        if let Some(path) = &self.path {
            // It is of no use any more; at worst the next process finds that its slot is filled.
            let _ = fs::remove_file(path);
        }
    }
}

impl Kept {
    /// Commits the result as soon as the store takes it, and returns what is then in the slot.
    ///
    /// When `stop` is canceled it tries once more. If the store is still away, the file is left behind
    /// for the next process of this machine, and the error is returned.
    pub(crate) async fn deliver(
        mut self,
        store: &dyn SlotStore,
        stop: &CancellationToken,
    ) -> Result<Outcome, StoreError> {
        let path = self.path.clone().unwrap_or_default();
        let mut failures = 0;
        loop {
            failures += 1;
            let pause = DELIVERING.pause(failures, jitter());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
            let is_last = stop.is_cancelled();
            let bytes = read(store, &self.key, &path)?;
            let committing = commit(store, &self.key, &self.attempt, bytes, ONCE);
            let committed = if is_last {
                in_time(store, &self.key, committing).await
            } else {
                committing.await
            };
            match committed {
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    if is_last {
                        info!(path = %path.display(), "left for the next worker of this machine");
                        self.path = None;
                        return Err(error);
                    }
                }
                ended => return ended,
            }
        }
    }
}

/// Waits for `committing`, but not for longer than a worker that must end has.
async fn in_time(
    store: &dyn SlotStore,
    key: &str,
    committing: impl Future<Output = Result<Outcome, StoreError>>,
) -> Result<Outcome, StoreError> {
    let ended = tokio::time::timeout(LAST_TRY, committing).await;
    ended.unwrap_or_else(|_| {
        Err(StoreError::Unavailable {
            url: store.url().to_owned(),
            action: "create",
            key: key.to_owned(),
            source: "no answer in time".into(),
        })
    })
}

fn read(store: &dyn SlotStore, key: &str, path: &Path) -> Result<Bytes, StoreError> {
    let bytes = fs::read(path).map_err(|source| StoreError::Refused {
        url: store.url().to_owned(),
        action: "create",
        key: key.to_owned(),
        source: format!("its copy at `{}` cannot be read: {source}", path.display()).into(),
    });
    bytes.map(Bytes::from)
}

/// Commits every result in `folder`, until `stop`. Removes what was committed.
async fn deliver_folder(
    folder: &Path,
    store: &dyn SlotStore,
    stop: &CancellationToken,
) -> Result<(), StoreError> {
    let files = LocalSlotStore::open_to_read(folder)?;
    for file in files.list("").await? {
        if !file.key.ends_with(".parquet") || stop.is_cancelled() {
            continue;
        }
        let footer = read_footer(&files, &file).await?;
        let spec: Result<JobSpec, _> = serde_json::from_str(&footer.spec_json);
        let spec = spec.map_err(|error| StoreError::Damaged {
            url: files.url().to_owned(),
            key: file.key.clone(),
            reason: error.to_string(),
        })?;
        let key = layout::slot(&layout::table(&spec), &footer.slot);
        let path = folder.join(&file.key);
        let bytes = read(store, &key, &path)?;
        let outcome = commit(store, &key, &footer.attempt, bytes, COMMITTING).await?;
        info!(
            key,
            ?outcome,
            "delivered what a worker that is gone had left behind"
        );
        let _ = fs::remove_file(&path);
    }
    Ok(())
}

/// Removes a worker's folder if it holds no results.
fn remove_if_empty(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    if entries
        .map(|entry| entry.file_name())
        .all(|name| name == LOCK)
    {
        let _ = fs::remove_dir_all(folder);
    }
}

#[cfg(test)]
mod tests;
