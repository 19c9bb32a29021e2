//! Where things lie in the cache, and the small files that remember what the Hub said.

use std::fs;
use std::path::{Path, PathBuf};

use super::whole_file::replace;
use crate::digest::Digest;
use crate::error::Error;
use crate::repo::{Commit, RepoId, Revision, Snapshot};

/// Tells backup programs to skip the folder: <https://bford.info/cachedir/>.
const CACHEDIR_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n";

/// The folder of the cache.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    pub(super) root: PathBuf,
    pub(super) copies_instead_of_links: bool,
}

impl Cache {
    pub(crate) fn new(root: PathBuf, copies_instead_of_links: bool) -> Self {
        Self {
            root,
            copies_instead_of_links,
        }
    }

    pub(super) fn repo(&self, repo: &RepoId) -> PathBuf {
        self.root.join(repo.folder())
    }

    /// Returns where the bytes with this digest are kept.
    pub(crate) fn blob(&self, repo: &RepoId, digest: &Digest) -> PathBuf {
        self.repo(repo).join("blobs").join(digest.as_str())
    }

    /// Returns where the bytes with this digest are collected until they are complete. Python's
    /// own unfinished files have random names, so they are never confused with this one.
    pub(crate) fn partial(&self, repo: &RepoId, digest: &Digest) -> PathBuf {
        let name = format!("{}.incomplete", digest.as_str());
        self.repo(repo).join("blobs").join(name)
    }

    /// Returns where a file of a snapshot is read.
    pub(crate) fn pointer(&self, snapshot: &Snapshot, path: &str) -> PathBuf {
        let folder = self.repo(&snapshot.repo).join("snapshots");
        folder.join(snapshot.commit.as_str()).join(path)
    }

    /// Returns the folder with the files that a model needs: all of its repository, or one GGUF
    /// file. It is whence's own, and goes when Python deletes the repository from the cache.
    pub(crate) fn model(&self, snapshot: &Snapshot, file: Option<&str>) -> PathBuf {
        let folder = self.repo(&snapshot.repo).join("whence");
        let folder = folder.join(snapshot.commit.as_str());
        folder.join(file.map_or_else(|| "model".to_owned(), |file| file.replace('/', "--")))
    }

    /// Returns every folder that [`Self::model`] has named.
    pub(crate) fn models(&self) -> Vec<PathBuf> {
        let below = |folder: PathBuf| {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| entry.path())
        };
        let repos = below(self.root.clone()).filter(|folder| {
            let name = folder.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with("models--"))
        });
        let commits = repos.flat_map(|repo| below(repo.join("whence")));
        commits.flat_map(below).collect()
    }

    fn missing(&self, snapshot: &Snapshot, path: &str) -> PathBuf {
        let folder = self.repo(&snapshot.repo).join(".no_exist");
        folder.join(snapshot.commit.as_str()).join(path)
    }

    /// Returns the file of a snapshot if the cache has it.
    pub(crate) fn find(&self, snapshot: &Snapshot, path: &str) -> Option<PathBuf> {
        let pointer = self.pointer(snapshot, path);
        pointer.is_file().then_some(pointer)
    }

    /// Returns whether the snapshot is known to have no such file.
    pub(crate) fn is_missing(&self, snapshot: &Snapshot, path: &str) -> bool {
        self.missing(snapshot, path).is_file()
    }

    /// Remembers that a snapshot has no such file. A cache that cannot be written forgets it.
    pub(crate) fn note_missing(&self, snapshot: &Snapshot, path: &str) {
        let note = self.missing(snapshot, path);
        if let Some(folder) = note.parent() {
            let _ = fs::create_dir_all(folder).and_then(|()| fs::write(&note, ""));
        }
    }

    /// Returns the commit that a branch or tag had when it was last resolved.
    pub(crate) fn read_ref(&self, repo: &RepoId, revision: &Revision) -> Option<Commit> {
        let path = self.repo(repo).join("refs").join(revision.as_str());
        Commit::parse(fs::read_to_string(path).ok()?.trim()).ok()
    }

    /// Remembers the commit of a branch or tag for offline use. A cache that cannot be written, such
    /// as one that a cluster mounts read-only, forgets it.
    pub(crate) fn write_ref(&self, repo: &RepoId, revision: &Revision, commit: &Commit) {
        if self.read_ref(repo, revision).as_ref() == Some(commit) {
            return;
        }
        let path = self.repo(repo).join("refs").join(revision.as_str());
        let _ = replace(&path, commit.as_str().as_bytes());
    }

    /// Makes the folders for a blob, and for the file of a snapshot that will link to it.
    pub(crate) fn prepare(&self, blob: &Path, pointer: &Path) -> Result<(), Error> {
        for folder in [blob.parent(), pointer.parent()].into_iter().flatten() {
            fs::create_dir_all(folder)
                .map_err(|error| Error::disk("create the folder", folder, error))?;
        }
        let tag = self.root.join("CACHEDIR.TAG");
        if !tag.exists() {
            let _ = fs::write(tag, CACHEDIR_TAG);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_as_it_was_written_and_moves() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().into(), false);
        let repo = RepoId::dataset("ns/name").unwrap();
        let revision = Revision::parquet();
        assert_eq!(cache.read_ref(&repo, &revision), None);
        for digit in ["a", "b"] {
            let commit = Commit::parse(&digit.repeat(40)).unwrap();
            cache.write_ref(&repo, &revision, &commit);
            assert_eq!(cache.read_ref(&repo, &revision), Some(commit));
        }
        let refs = folder.path().join("datasets--ns--name/refs/refs/convert");
        let names: Vec<_> = fs::read_dir(refs).unwrap().collect();
        assert_eq!(names.len(), 1, "no temporary file is left");
    }

    #[test]
    fn a_damaged_reference_is_no_commit() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().into(), false);
        let repo = RepoId::model("gpt2").unwrap();
        let refs = folder.path().join("models--gpt2/refs");
        fs::create_dir_all(&refs).unwrap();
        fs::write(refs.join("main"), "../../etc").unwrap();
        assert_eq!(cache.read_ref(&repo, &Revision::default()), None);
    }
}
