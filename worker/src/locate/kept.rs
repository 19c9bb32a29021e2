//! Models that were downloaded onto this machine: which are being read, and which have to go.
//!
//! A model is a folder of files, or of links to files in the cache that Python shares. In each such
//! folder lies a small hidden file. It is locked, together with other readers, while the model is
//! being read, and its time of modification is when that was last done.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tracing::{info, warn};

/// The file that says when a model was last read. Hidden files are no part of a model.
const USED: &str = ".used";

/// Keeps a model from being removed until it is dropped.
#[derive(Debug)]
pub struct InUse {
    _lock: Option<File>,
}

impl InUse {
    /// Notes that the model in `folder` is read from now on. A cache that cannot be written, such as
    /// one that a cluster mounts read-only, is not shrunk either.
    pub(super) fn begin(folder: &Path) -> Self {
        let lock = open(folder).and_then(|file| {
            file.lock_shared()?;
            // Writing sets the time.
            file.write_all_at(b"\n", 0)?;
            Ok(file)
        });
        Self { _lock: lock.ok() }
    }
}

fn open(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    options.open(folder.join(USED))
}

/// A model that was downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    folder: PathBuf,
    last_read: SystemTime,
    /// Its files, where their bytes really are, and their sizes.
    files: BTreeMap<PathBuf, u64>,
}

impl Kept {
    fn read(folder: &Path) -> io::Result<Self> {
        let last_read = fs::metadata(folder.join(USED)).or_else(|_| fs::metadata(folder))?;
        let mut files = BTreeMap::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let path = entry.path();
                if entry.file_name().as_encoded_bytes().starts_with(b".") {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(file) = path.canonicalize() {
                    let size = fs::metadata(&file)?.len();
                    files.insert(file, size);
                }
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            last_read: last_read.modified()?,
            files,
        })
    }
}

/// Removes the models in `folders` that were not read for the longest time, until the rest takes at
/// most `max_bytes`. The one in `kept` stays, and so does whatever is being read.
///
/// Where the shared cache has copies instead of links, only whence's own copies go.
pub(super) fn shrink(folders: &[PathBuf], max_bytes: u64, kept: &Path) {
    // Another process may remove a model at the same time.
    let models = folders.iter().filter_map(|folder| Kept::read(folder).ok());
    let models: Vec<_> = models.collect();
    for folder in superfluous(&models, max_bytes, kept) {
        if let Err(error) = remove(&folder, &models) {
            warn!(folder = %folder.display(), %error, "cannot remove a model from the cache");
        }
    }
}

/// Returns the folders of the models that have to go, in the order of their last use.
fn superfluous(models: &[Kept], max_bytes: u64, kept: &Path) -> Vec<PathBuf> {
    let mut models: Vec<_> = models.iter().collect();
    models.sort_by_key(|model| model.last_read);
    let mut gone = Vec::new();
    for model in &models {
        let staying = models.iter().filter(|model| !gone.contains(&model.folder));
        if bytes(staying.copied()) <= max_bytes {
            break;
        }
        if model.folder != kept {
            gone.push(model.folder.clone());
        }
    }
    gone
}

/// Returns the bytes of models that may share files.
fn bytes<'m>(models: impl Iterator<Item = &'m Kept>) -> u64 {
    let files: BTreeMap<_, _> = models.flat_map(|model| &model.files).collect();
    files.into_values().sum()
}

/// Removes a model, except for the files that it shares with another one of `models`.
fn remove(folder: &Path, models: &[Kept]) -> io::Result<()> {
    let lock = open(folder)?;
    if lock.try_lock().is_err() {
        // Somebody reads it.
        return Ok(());
    }
    let is_other = |model: &&Kept| model.folder != folder && model.folder.exists();
    let others = models.iter().filter(is_other);
    let shared: BTreeSet<_> = others.flat_map(|model| model.files.keys()).collect();
    let own = models.iter().find(|model| model.folder == folder);
    for file in own.into_iter().flat_map(|model| model.files.keys()) {
        if !shared.contains(file) {
            fs::remove_file(file)?;
        }
    }
    info!(folder = %folder.display(), "removed a model that was not used for the longest time");
    fs::remove_dir_all(folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use super::*;

    /// A cache with the blobs `a`, `b` and `c` of ten bytes, and a model of links to some of them for
    /// each text in `models`. The first was not read for the longest time.
    fn cache(models: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let root = tempfile::tempdir().unwrap();
        let blobs = root.path().join("blobs");
        fs::create_dir(&blobs).unwrap();
        for blob in ["a", "b", "c"] {
            fs::write(blobs.join(blob), "0123456789").unwrap();
        }
        let mut folders = Vec::new();
        for (index, model) in models.iter().enumerate() {
            let folder = root.path().join(format!("model-{index}"));
            fs::create_dir(&folder).unwrap();
            for blob in model.chars().map(String::from) {
                symlink(blobs.join(&blob), folder.join(&blob)).unwrap();
            }
            drop(InUse::begin(&folder));
            let file = open(&folder).unwrap();
            let seconds = Duration::from_secs(1 + index as u64);
            file.set_modified(SystemTime::UNIX_EPOCH + seconds).unwrap();
            folders.push(folder);
        }
        (root, folders)
    }

    fn names(root: &tempfile::TempDir) -> String {
        let blobs = fs::read_dir(root.path().join("blobs")).unwrap();
        let mut names: Vec<_> = blobs.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names.iter().map(|name| name.to_str().unwrap()).collect()
    }

    #[test]
    fn the_model_that_was_not_read_for_longest_goes_first() {
        let (root, folders) = cache(&["a", "b", "c"]);
        shrink(&folders, 30, &folders[2]);
        assert_eq!(names(&root), "abc");
        shrink(&folders, 25, &folders[2]);
        assert_eq!(names(&root), "bc");
        shrink(&folders, 0, &folders[1]);
        assert_eq!(names(&root), "b");
    }

    #[test]
    fn a_file_that_another_model_has_too_stays() {
        let (root, folders) = cache(&["ab", "bc"]);
        shrink(&folders, 20, &folders[1]);
        assert_eq!(names(&root), "bc");
        assert!(!folders[0].exists() && folders[1].join("b").exists());
    }

    #[test]
    fn a_model_that_is_being_read_stays() {
        let (root, folders) = cache(&["a", "b"]);
        let reading = InUse::begin(&folders[0]);
        shrink(&folders, 10, &folders[1]);
        assert_eq!(names(&root), "abc");
        drop(reading);
        shrink(&folders, 10, &folders[0]);
        assert_eq!(names(&root), "ac");
    }
}
