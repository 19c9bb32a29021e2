//! One process downloads a file, the others wait for it.
//!
//! The lock is `flock` on a file of its own, as Python's `filelock` takes it, so whence and Python
//! wait for each other. The system releases it when a process ends, however it ends. It only saves
//! bandwidth: blobs are verified before they get their name, and two writers of the same partial
//! file write the same bytes to the same places.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;
use tracing::{info, warn};

use super::layout::Cache;
use crate::digest::Digest;
use crate::error::Error;
use crate::repo::RepoId;

/// How often a lock that somebody else holds is tried. It is polled, because a thread that waits
/// inside `flock` cannot be interrupted.
const POLL_EVERY: Duration = Duration::from_millis(50);

/// The right to write a file that processes share. Ends when dropped.
#[derive(Debug)]
pub struct FileLock {
    _file: Option<File>,
}

impl FileLock {
    /// Waits until no other process holds the lock whose own file is `path`, and takes it.
    pub async fn wait(path: &Path) -> Result<Self, Error> {
        let file = open(path).map_err(|error| Error::disk("open the lock", path, error))?;
        let mut is_announced = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: Some(file) }),
                Err(TryLockError::WouldBlock) => {
                    if !is_announced {
                        info!(lock = %path.display(), "another process downloads this file, waiting");
                        is_announced = true;
                    }
                    sleep(POLL_EVERY).await;
                }
                // Some network disks have no locks.
                Err(TryLockError::Error(error)) => {
                    warn!(lock = %path.display(), %error, "the disk has no locks; a file may be downloaded twice");
                    return Ok(Self { _file: None });
                }
            }
        }
    }
}

impl Cache {
    fn lock_path(&self, repo: &RepoId, digest: &Digest) -> PathBuf {
        let folder = self.root.join(".locks").join(repo.folder());
        folder.join(format!("{}.lock", digest.as_str()))
    }

    /// Waits until no other process writes the blob.
    pub(crate) async fn lock(&self, repo: &RepoId, digest: &Digest) -> Result<FileLock, Error> {
        FileLock::wait(&self.lock_path(repo, digest)).await
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    // As Python makes it: whoever shares the cache through a group can wait too.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o664);
    options.open(path)
}
