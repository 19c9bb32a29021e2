//! Ranges of remote files that were read, kept on disk so that nothing is transferred twice.
//!
//! A job reads the same bytes several times: once to plan it, and again for each of its shards,
//! which start in the middle of a row group. The bytes are kept in one file in the cache folder that
//! no other program sees: it has no name, so that the disk is free again when the process ends, and
//! it is bounded, the oldest ranges making room. Memory holds only where each range is.
//!
//! A disk that is full or cannot be written costs transfers, and never a job.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use tracing::warn;
use whence_schemas::cache_folder;

use super::ring::{FileKey, Ring};

/// Bound of the disk space that a process takes.
const MAX_BYTES: u64 = 16 << 30;

/// Number of locks that files share.
const LOCKS: usize = 64;

/// Ranges of remote files on disk. Clones share them.
#[derive(Debug, Clone)]
pub struct KeptRanges(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    max_bytes: u64,
    disk: RwLock<Disk>,
    /// Held while a range of a file is fetched, so that two readers do not both fetch it.
    fetching: [Mutex<()>; LOCKS],
    /// Whether the servers of files send parts of them, as far as they were asked.
    has_ranges: Mutex<HashMap<FileKey, bool>>,
}

#[derive(Debug)]
enum Disk {
    NotOpened,
    Open(File, Ring),
    /// It failed once and is not used any more.
    Failed,
}

impl KeptRanges {
    /// Keeps ranges in `folder`, which is made when it is needed, up to `max_bytes` together.
    pub fn new(folder: PathBuf, max_bytes: u64) -> Self {
        Self(Arc::new(Shared {
            folder,
            max_bytes,
            disk: RwLock::new(Disk::NotOpened),
            fetching: std::array::from_fn(|_| Mutex::default()),
            has_ranges: Mutex::default(),
        }))
    }

    /// Returns the ranges that this process keeps, in the user's cache folder, which the environment
    /// tells as for [`Copies::from_env`](super::Copies::from_env).
    pub fn of_process() -> Self {
        static KEPT: OnceLock<KeptRanges> = OnceLock::new();
        let kept = KEPT.get_or_init(|| {
            let folder = cache_folder(|name| std::env::var(name).ok());
            Self::new(folder.join("ranges"), MAX_BYTES)
        });
        kept.clone()
    }

    /// Copies what is kept of `range` of a file into `buffer`, which is as long as the range.
    /// Returns the parts that are missing.
    pub(super) fn fill(
        &self,
        key: FileKey,
        range: &Range<u64>,
        buffer: &mut [u8],
    ) -> Vec<Range<u64>> {
        // Held while the bytes are read: meanwhile nobody may write others in their place.
        let disk = self.0.disk.read().unwrap_or_else(PoisonError::into_inner);
        let Disk::Open(file, ring) = &*disk else {
            return vec![range.clone()];
        };
        let mut missing: Vec<Range<u64>> = Vec::new();
        let mut position = range.start;
        while position < range.end {
            let found = ring.find(key, position);
            let end = match found {
                Some(piece) => piece.end,
                None => ring.next_start(key, position).unwrap_or(range.end),
            };
            let end = end.min(range.end);
            let part = (position - range.start) as usize..(end - range.start) as usize;
            let is_read = found.is_some_and(|piece| {
                let at = piece.at + position - piece.start;
                file.read_exact_at(&mut buffer[part], at).is_ok()
            });
            if !is_read {
                missing.push(position..end);
            }
            position = end;
        }
        missing
    }

    /// Keeps the bytes of a file that begin at `start`.
    pub(super) fn keep(&self, key: FileKey, start: u64, bytes: &[u8]) {
        let mut disk = self.0.disk.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(*disk, Disk::NotOpened) {
            let made = fs::create_dir_all(&self.0.folder);
            *disk = match made.and_then(|()| tempfile::tempfile_in(&self.0.folder)) {
                Ok(file) => Disk::Open(file, Ring::new(self.0.max_bytes)),
                Err(error) => self.failed(&error),
            };
        }
        let Disk::Open(file, ring) = &mut *disk else {
            return;
        };
        let Some(piece) = ring.place(key, &(start..start + bytes.len() as u64)) else {
            return;
        };
        if let Err(error) = file.write_all_at(bytes, piece.at) {
            *disk = self.failed(&error);
        }
    }

    /// Waits until nobody else fetches bytes of this file.
    pub(super) fn fetching(&self, key: FileKey) -> MutexGuard<'_, ()> {
        let lock = &self.0.fetching[usize::from(key[0]) % LOCKS];
        lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the server of a file sends parts of it. `ask` is called once for each file.
    pub(super) fn has_ranges(
        &self,
        key: FileKey,
        ask: impl FnOnce() -> io::Result<bool>,
    ) -> io::Result<bool> {
        let known = || {
            self.0
                .has_ranges
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(has_ranges) = known().get(&key) {
            return Ok(*has_ranges);
        }
        let has_ranges = ask()?;
        known().insert(key, has_ranges);
        Ok(has_ranges)
    }

    fn failed(&self, error: &io::Error) -> Disk {
        let folder = self.0.folder.display();
        warn!(%folder, %error, "remote data cannot be kept on disk; parts of it are transferred again");
        Disk::Failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: FileKey = [7; 32];

    /// Returns what is kept, and where the parts that are missing start and end.
    fn filled(kept: &KeptRanges, range: Range<u64>) -> (Vec<u8>, Vec<(u64, u64)>) {
        let mut buffer = vec![b'.'; (range.end - range.start) as usize];
        let missing = kept.fill(KEY, &range, &mut buffer);
        let missing = missing.iter().map(|part| (part.start, part.end));
        (buffer, missing.collect())
    }

    #[test]
    fn what_was_kept_is_read_and_the_rest_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let kept = KeptRanges::new(folder.path().join("new"), 1000);
        assert_eq!(filled(&kept, 0..4), (b"....".to_vec(), vec![(0, 4)]));
        kept.keep(KEY, 2, b"cde");
        kept.keep(KEY, 7, b"hi");
        let expected = (b"..cde..hi.".to_vec(), vec![(0, 2), (5, 7), (9, 10)]);
        assert_eq!(filled(&kept, 0..10), expected);
        assert_eq!(filled(&kept, 3..5), (b"de".to_vec(), vec![]));
        // Nobody sees the file, so nothing is left behind.
        let names = fs::read_dir(folder.path().join("new")).unwrap();
        assert_eq!(names.count(), 0);
    }

    #[test]
    fn a_folder_that_cannot_be_written_only_keeps_nothing() {
        let kept = KeptRanges::new("/dev/null/ranges".into(), 1000);
        kept.keep(KEY, 0, b"ab");
        assert_eq!(filled(&kept, 0..2), (b"..".to_vec(), vec![(0, 2)]));
    }
}
