//! A repository on the Hub, at one commit, as a source of datasets.
//!
//! The Hub's list of the files already has a digest for each of them, so that nothing is fetched to
//! pin a dataset. A file is fetched into the cache when its rows are read.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, OnceLock};

use tokio::runtime::Runtime;
use whence_hub::{Commit, Hub, RepoFile, RepoId, RepoKind, Revision, Settings, Snapshot};
use whence_schemas::location::{DataFile, DatasetOrigin};

use super::notice::Notice;
use super::source::Source;
use crate::Error;
use crate::content::{self, SharedContent};
use crate::files::unreadable;

/// The branch on which the Hub keeps its own copy of a dataset, in Parquet.
const PARQUET_BRANCH: &str = "refs/convert/parquet";

/// Says how far a download is.
pub type Progress = Arc<dyn Fn(whence_hub::Transfer<'_>) + Send + Sync>;

/// A Hub whose repositories can be read as datasets.
///
/// Requests run on threads of its own, so that it may be used on any thread that may block, whether
/// or not that one belongs to a runtime.
#[derive(Clone)]
pub struct HubDatasets {
    hub: Hub,
    progress: Progress,
    runtime: Arc<OwnRuntime>,
}

/// A runtime that is shut down without waiting, which a thread of another runtime may not do.
struct OwnRuntime(Option<Runtime>);

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl HubDatasets {
    /// Prepares access to the Hub that the environment names. Opens no socket.
    pub fn from_env(progress: Progress) -> Result<Self, Error> {
        let settings = Settings::from_env(|name| std::env::var(name).ok());
        Self::new(settings.map_err(Error::HubSettings)?, progress)
    }

    /// Prepares access to a Hub. Opens no socket.
    pub fn new(settings: Settings, progress: Progress) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("hub")
            .enable_all()
            .build()
            .map_err(Error::Thread)?;
        Ok(Self {
            hub: Hub::new(settings).map_err(Box::new)?,
            progress,
            runtime: Arc::new(OwnRuntime(Some(runtime))),
        })
    }

    /// Looks up the commit that `revision` of a repository has now.
    ///
    /// A repository that is loaded by a script of its own is read from the Hub's copy in Parquet
    /// instead, which the notice says, unless a revision was asked for.
    pub fn find(
        &self,
        repository: &str,
        revision: Option<&str>,
    ) -> Result<(DatasetOrigin, Option<Notice>), Error> {
        let id = RepoId::new(RepoKind::Dataset, repository).map_err(Error::HubName)?;
        let asked = revision.map_or_else(|| Ok(Revision::default()), Revision::new);
        let asked = asked.map_err(Error::HubName)?;
        let snapshot = self.wait(|hub, runtime| runtime.block_on(hub.resolve(&id, &asked)))?;
        let origin = |snapshot: &Snapshot, is_export| DatasetOrigin::Hub {
            repository: repository.to_owned(),
            commit: snapshot.commit.to_string(),
            is_export,
        };
        let tree = self.wait(|hub, runtime| runtime.block_on(hub.tree(&snapshot)))?;
        let name = repository.rsplit('/').next().unwrap_or(repository);
        let script = format!("{name}.py");
        if !tree.files.iter().any(|file| file.path == script) {
            return Ok((origin(&snapshot, false), None));
        }
        let script = Notice::ParquetBranch {
            repository: repository.to_owned(),
        };
        let branch = Revision::new(PARQUET_BRANCH).map_err(Error::HubName)?;
        match self.wait(|hub, runtime| runtime.block_on(hub.resolve(&id, &branch))) {
            Ok(snapshot) => Ok((origin(&snapshot, true), Some(script))),
            Err(Error::Hub(error)) if matches!(*error, whence_hub::Error::RevisionNotFound(_)) => {
                Err(Error::Script {
                    repository: repository.to_owned(),
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Opens a repository at a commit.
    pub fn source(&self, repository: &str, commit: &str) -> Result<HubSource, Error> {
        let id = RepoId::new(RepoKind::Dataset, repository).map_err(Error::HubName)?;
        let commit = Commit::parse(commit).map_err(Error::HubName)?;
        Ok(HubSource {
            hub: self.clone(),
            snapshot: Snapshot { repo: id, commit },
            files: OnceLock::new(),
        })
    }

    /// Waits for an answer on a thread of its own, because `block_on` may not be called on one that
    /// belongs to a runtime.
    fn wait<T: Send>(
        &self,
        ask: impl FnOnce(&Hub, &Runtime) -> Result<T, whence_hub::Error> + Send,
    ) -> Result<T, Error> {
        let runtime = self.runtime.0.as_ref();
        let runtime = runtime.expect("the runtime is there until it is dropped");
        let answer = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| ask(&self.hub, runtime));
            let answer = waiting.join();
            answer.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        Ok(answer.map_err(Box::new)?)
    }
}

/// A repository at a commit.
pub struct HubSource {
    hub: HubDatasets,
    snapshot: Snapshot,
    files: OnceLock<HashMap<String, RepoFile>>,
}

impl HubSource {
    /// Returns the files by their paths. Offline, these may be only the files that the cache holds.
    fn files(&self) -> Result<&HashMap<String, RepoFile>, Error> {
        if let Some(files) = self.files.get() {
            return Ok(files);
        }
        let tree = self
            .hub
            .wait(|hub, runtime| runtime.block_on(hub.tree(&self.snapshot)))?;
        if !tree.is_complete {
            return Err(Error::HubIncomplete {
                repository: self.snapshot.repo.to_string(),
            });
        }
        let files = tree.files.into_iter();
        let files = files.map(|file| (file.path.clone(), file)).collect();
        Ok(self.files.get_or_init(|| files))
    }

    fn file(&self, path: &str) -> Result<&RepoFile, Error> {
        self.files()?.get(path).ok_or_else(|| Error::Pattern {
            pattern: path.to_owned(),
            reason: "the repository has no such file".to_owned(),
        })
    }

    fn fetch(&self, file: &RepoFile) -> Result<std::path::PathBuf, Error> {
        let progress = self.hub.progress.as_ref();
        self.hub
            .wait(|hub, runtime| runtime.block_on(hub.fetch(&self.snapshot, file, progress)))
    }
}

impl Source for HubSource {
    fn files_below(&self, folder: &str, depth: Option<usize>) -> Result<Vec<String>, Error> {
        let prefix = match folder {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        let is_below = |path: &&String| {
            let rest = path.strip_prefix(&prefix);
            rest.is_some_and(|rest| depth.is_none_or(|depth| rest.split('/').count() <= depth))
        };
        Ok(self.files()?.keys().filter(is_below).cloned().collect())
    }

    fn has_file(&self, path: &str) -> Result<bool, Error> {
        Ok(self.files()?.contains_key(path))
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = self.files()?.get(path) else {
            return Ok(None);
        };
        let path = self.fetch(file)?;
        fs::read(&path).map(Some).map_err(unreadable(&path))
    }

    fn describe(&self, path: &str, split: &str) -> Result<DataFile, Error> {
        let file = self.file(path)?;
        let digest = file.lfs_sha256.as_ref().unwrap_or(&file.blob_id);
        Ok(DataFile {
            split: split.to_owned(),
            path: path.to_owned(),
            member: None,
            bytes: file.size,
            digest: digest.clone(),
        })
    }

    fn open(&self, file: &DataFile) -> Result<SharedContent, Error> {
        let path = self.fetch(self.file(&file.path)?)?;
        content::local(&path).map_err(unreadable(&path))
    }
}
