//! From the file of a snapshot to its blob: by a link, or by a copy where there are no links.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::layout::Cache;
use super::whole_file::share;
use crate::error::Error;

/// Whether a blob was downloaded just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlobAge {
    /// Nobody else can be using it yet.
    New,
    /// Other snapshots may be using it.
    Old,
}

impl Cache {
    /// Makes `pointer` lead to `blob`. The link is relative, so that the cache can be moved.
    ///
    /// Without links the file is moved or copied, as Python does it: a new blob is moved, so that it
    /// takes no space twice.
    pub(crate) fn link(&self, blob: &Path, pointer: &Path, age: BlobAge) -> Result<(), Error> {
        // A link whose blob was deleted is in the way.
        let _ = fs::remove_file(pointer);
        let linked = if self.copies_instead_of_links {
            Err(io::ErrorKind::Unsupported.into())
        } else {
            symlink(&relative(blob, pointer), pointer)
        };
        match linked {
            Ok(()) => Ok(()),
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && pointer.exists() => {
                Ok(())
            }
            Err(_) if age == BlobAge::New => fs::rename(blob, pointer)
                .map_err(|error| Error::disk("move the download to", pointer, error)),
            Err(_) => {
                copy(blob, pointer).map_err(|error| Error::disk("copy the blob to", pointer, error))
            }
        }
    }
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
fn symlink(_target: &Path, _link: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Returns the path from the folder of `pointer` to `blob`. Both are below the same folder of a
/// repository.
fn relative(blob: &Path, pointer: &Path) -> PathBuf {
    let shared = blob.components().zip(pointer.components());
    let shared = shared.take_while(|(a, b)| a == b).count();
    let folders_up = pointer.components().count() - shared - 1;
    let mut path: PathBuf = std::iter::repeat_n("..", folders_up).collect();
    path.extend(blob.components().skip(shared));
    path
}

/// Copies a file so that nobody ever reads a part of it.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().unwrap_or(Path::new("."));
    let copied = NamedTempFile::new_in(folder)?;
    fs::copy(from, copied.path())?;
    share(copied.path())?;
    copied.persist(to)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linked(
        copies_instead_of_links: bool,
        age: BlobAge,
    ) -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().into(), copies_instead_of_links);
        let blob = folder.path().join("models--a/blobs/123");
        let pointer = folder.path().join("models--a/snapshots/abc/data/a.txt");
        cache.prepare(&blob, &pointer).unwrap();
        fs::write(&blob, "hello").unwrap();
        cache.link(&blob, &pointer, age).unwrap();
        assert_eq!(fs::read(&pointer).unwrap(), b"hello");
        (folder, blob, pointer)
    }

    #[test]
    fn a_link_is_relative() {
        let (folder, _, pointer) = linked(false, BlobAge::New);
        let target = fs::read_link(&pointer).unwrap();
        assert_eq!(target, Path::new("../../../blobs/123"));
        assert!(folder.path().join("CACHEDIR.TAG").exists());
    }

    #[test]
    fn without_links_a_new_blob_is_moved_and_an_old_one_copied() {
        let (_new, blob, _) = linked(true, BlobAge::New);
        assert!(!blob.exists());
        let (_old, blob, pointer) = linked(true, BlobAge::Old);
        assert!(blob.exists() && !pointer.is_symlink());
    }

    #[test]
    fn a_link_to_a_blob_that_was_deleted_is_replaced() {
        let (folder, blob, pointer) = linked(false, BlobAge::New);
        fs::remove_file(&blob).unwrap();
        let other = folder.path().join("models--a/blobs/456");
        fs::write(&other, "again").unwrap();
        let cache = Cache::new(folder.path().into(), false);
        cache.link(&other, &pointer, BlobAge::Old).unwrap();
        assert_eq!(fs::read(&pointer).unwrap(), b"again");
    }
}
