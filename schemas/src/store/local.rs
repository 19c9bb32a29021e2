//! Objects as files in a directory, so that a result is a folder that any reader opens.
//!
//! A file appears under its name complete and durable, or not at all. It is written and synced in
//! `_staging`, outside every folder that a reader scans, and then linked to its name. `link(2)`
//! fails if the name is taken, which makes it a put-if-absent. Syncing the folder makes the name
//! itself durable.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Created, Listed, SlotStore, StoreError};
use crate::{CrashPoint, layout};

/// A directory that holds objects.
#[derive(Debug)]
pub struct LocalSlotStore {
    root: Arc<Path>,
    url: String,
}

impl LocalSlotStore {
    /// Opens `directory` and creates it if it does not exist. Fails if it cannot be created.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let made = fs::create_dir_all(directory.join(layout::STAGING));
        made.and_then(|()| Self::at(directory))
            .map_err(|source| StoreError::Url {
                url: directory.display().to_string(),
                reason: format!("it cannot be made a directory: {source}"),
            })
    }

    /// Opens `directory` for reading and creates nothing. Fails if there is no such directory.
    pub fn open_to_read(directory: &Path) -> Result<Self, StoreError> {
        Self::at(directory).map_err(|source| StoreError::Url {
            url: directory.display().to_string(),
            reason: format!("the directory cannot be opened: {source}"),
        })
    }

    fn at(directory: &Path) -> io::Result<Self> {
        let root = directory.canonicalize()?;
        let url = url::Url::from_directory_path(&root).map_or_else(
            |()| root.display().to_string(),
            |url| url.as_str().trim_end_matches('/').to_owned(),
        );
        Ok(Self {
            root: root.into(),
            url,
        })
    }

    /// Runs file operations on a thread where they may block.
    async fn blocking<T: Send + 'static>(
        &self,
        action: &'static str,
        key: &str,
        work: impl FnOnce(&Path, &str) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (root, owned_key) = (Arc::clone(&self.root), key.to_owned());
        let outcome = tokio::task::spawn_blocking(move || work(&root, &owned_key)).await;
        outcome
            .unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
            .map_err(|source| {
                let (url, key) = (self.url.clone(), key.to_owned());
                let may_pass = may_pass(source.kind());
                let source = Box::new(source);
                if may_pass {
                    StoreError::Unavailable {
                        url,
                        action,
                        key,
                        source,
                    }
                } else {
                    StoreError::Refused {
                        url,
                        action,
                        key,
                        source,
                    }
                }
            })
    }
}

/// Returns whether an error of the file system may pass by itself. An outage of a network file system may;
/// a full disk waits for a person.
fn may_pass(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::StorageFull
            | ErrorKind::QuotaExceeded
            | ErrorKind::FileTooLarge
            | ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::NotADirectory
    )
}

#[async_trait]
impl SlotStore for LocalSlotStore {
    async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, StoreError> {
        self.blocking("create", key, move |root, key| create(root, key, &bytes))
            .await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        self.blocking("read", key, |root, key| {
            absent_as_none(fs::read(path_of(root, key)?).map(Bytes::from))
        })
        .await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.blocking("read", key, move |root, key| {
            let mut file = File::open(path_of(root, key)?)?;
            file.seek(SeekFrom::Start(range.start))?;
            let mut bytes = vec![0; range.end.saturating_sub(range.start) as usize];
            file.read_exact(&mut bytes)?;
            Ok(bytes.into())
        })
        .await
    }

    async fn head(&self, key: &str) -> Result<Option<Listed>, StoreError> {
        self.blocking("look at", key, |root, key| {
            let found = absent_as_none(fs::metadata(path_of(root, key)?))?;
            Ok(found.filter(fs::Metadata::is_file).map(|file| Listed {
                key: key.to_owned(),
                bytes: file.len(),
            }))
        })
        .await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        self.blocking("list", prefix, |root, prefix| {
            let folder = if prefix.is_empty() {
                root.to_owned()
            } else {
                path_of(root, prefix)?
            };
            let mut found = Vec::new();
            collect(&folder, prefix, &mut found)?;
            found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
            Ok(found)
        })
        .await
    }

    fn url(&self) -> &str {
        &self.url
    }
}

/// Creates a file in the steps that the top of this module describes.
fn create(root: &Path, key: &str, bytes: &[u8]) -> io::Result<Created> {
    let path = path_of(root, key)?;
    // An attempt that comes second usually comes much later, so this check saves it from writing
    // the file.
    let folder = path.parent().unwrap_or(root);
    if path.exists() {
        // The caller may act on its existence, which must be durable by then.
        sync_folder(folder)?;
        return Ok(Created::Already);
    }
    create_folders(root, folder)?;
    let staging = root.join(layout::STAGING);
    fs::create_dir_all(&staging)?;
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    // `tempfile` makes files that only their owner can read; readers of the table need the usual
    // mode.
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    // Removes itself when dropped, whether or not the link succeeds.
    let mut staged = builder.tempfile_in(&staging)?;
    staged.write_all(bytes)?;
    staged.as_file().sync_all()?;
    CrashPoint::StoreStaged.pass();
    let created = match fs::hard_link(staged.path(), &path) {
        Ok(()) => Created::Now,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Created::Already,
        Err(error) => return Err(error),
    };
    CrashPoint::StoreLinked.pass();
    // Also when somebody else was first in the meantime.
    sync_folder(folder)?;
    Ok(created)
}

/// Creates `folder` and its missing parents, and syncs each new folder's parent.
fn create_folders(root: &Path, folder: &Path) -> io::Result<()> {
    if folder == root || folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(root);
    create_folders(root, parent)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder(parent),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Returns the path of `key`. Refuses keys that could lead out of the root, because keys also come
/// over the network.
fn path_of(root: &Path, key: &str) -> io::Result<PathBuf> {
    let is_name = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']);
    if key.split('/').all(is_name) {
        Ok(root.join(key))
    } else {
        Err(io::Error::new(
            ErrorKind::InvalidInput,
            "an object's name is plain names joined by `/`",
        ))
    }
}

/// Adds all files below `folder` to `found`, except those in the staging folder. Names that are not
/// Unicode are skipped, because no key has such a name. A missing folder is empty, as in a bucket.
fn collect(folder: &Path, prefix: &str, found: &mut Vec<Listed>) -> io::Result<()> {
    let Some(entries) = absent_as_none(fs::read_dir(folder))? else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let key = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}/{name}")
        };
        let kind = entry.file_type()?;
        if kind.is_dir() && key != layout::STAGING {
            collect(&entry.path(), &key, found)?;
        } else if kind.is_file() {
            let bytes = entry.metadata()?.len();
            found.push(Listed { key, bytes });
        }
    }
    Ok(())
}

/// Turns the error that something does not exist into `None`.
fn absent_as_none<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_cannot_leave_the_root() {
        let directory = tempfile::tempdir().unwrap();
        let store = LocalSlotStore::open(directory.path()).unwrap();
        for key in ["../x", "/x", "a//b", "a/./b", "", "a\\b", "a/"] {
            let outcome = store.create(key, Bytes::from_static(b"x")).await;
            assert!(outcome.is_err(), "{key}");
        }
    }

    #[tokio::test]
    async fn nothing_stays_in_staging() {
        let directory = tempfile::tempdir().unwrap();
        let store = LocalSlotStore::open(directory.path()).unwrap();
        for _ in 0..2 {
            store.create("a/b", Bytes::from_static(b"x")).await.unwrap();
        }
        let staged = fs::read_dir(directory.path().join(layout::STAGING)).unwrap();
        assert_eq!(staged.count(), 0);
    }

    #[test]
    fn a_file_is_not_a_root() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = LocalSlotStore::open(file.path()).unwrap_err();
        assert!(matches!(error, StoreError::Url { .. }), "{error}");
    }
}
