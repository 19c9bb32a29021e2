//! A repository on the Hub, at one commit, as a source of datasets.
//!
//! The Hub's list of the files already has a digest for each of them, so that nothing is fetched to
//! pin a dataset. When its rows are read, a small or compressed file is fetched into the cache that
//! Python shares. Of a large one only the ranges that are needed are read, unless the cache has it.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use whence_hub::{Commit, Hub, RepoFile, RepoId, RepoKind, Revision, Settings, Snapshot};
use whence_schemas::location::{DataFile, DatasetOrigin};

use super::notice::Notice;
use super::source::{Source, is_below};
use crate::Error;
use crate::content::{self, Arrival, KeptRanges, PinnedFile, SharedContent};
use crate::files::{network_failed, unreadable};

/// The branch on which the Hub keeps its own copy of a dataset, in Parquet.
const PARQUET_BRANCH: &str = "refs/convert/parquet";

/// Says how far a download is.
pub type Progress = Arc<dyn Fn(whence_hub::Transfer<'_>) + Send + Sync>;

/// Files up to this size are fetched as a whole: that takes hardly longer than asking for a part,
/// and the cache then has them, for Python and offline.
const WHOLE_BYTES: u64 = 4 << 20;

/// First bytes of a file that tell whether it is compressed.
const START_BYTES: u64 = 8;

/// A Hub whose repositories can be read as datasets. It may be used on any thread that may block.
#[derive(Clone)]
pub struct HubDatasets {
    hub: Hub,
    progress: Progress,
    kept: KeptRanges,
}

/// Returns access to the Hub that the environment names. There is one for the process, because it
/// keeps its connections.
pub fn env_hub() -> Result<&'static HubDatasets, Error> {
    static HUB: OnceLock<HubDatasets> = OnceLock::new();
    if let Some(hub) = HUB.get() {
        return Ok(hub);
    }
    let settings = Settings::from_env(|name| std::env::var(name).ok());
    let progress: Progress = Arc::new(|transfer| content::note(Arrival::Download(transfer)));
    let hub = HubDatasets::new(settings.map_err(Error::HubSettings)?, progress)?;
    Ok(HUB.get_or_init(|| hub))
}

impl HubDatasets {
    /// Prepares access to a Hub. Opens no socket.
    pub fn new(settings: Settings, progress: Progress) -> Result<Self, Error> {
        Ok(Self {
            hub: Hub::new(settings).map_err(Box::new)?,
            progress,
            kept: KeptRanges::of_process(),
        })
    }

    /// Keeps what is read of large files in `kept` instead of the user's cache folder.
    #[must_use]
    pub fn keeping(self, kept: KeptRanges) -> Self {
        Self { kept, ..self }
    }

    pub(crate) fn kept(&self) -> &KeptRanges {
        &self.kept
    }

    /// Returns the Hub's own address.
    pub(crate) fn endpoint(&self) -> &str {
        self.hub.settings().endpoint.as_str()
    }

    /// Returns the commit that `revision` of a repository has now.
    pub(crate) fn commit(&self, repository: &str, revision: Option<&str>) -> Result<String, Error> {
        Ok(self.snapshot(repository, revision)?.commit.to_string())
    }

    fn snapshot(&self, repository: &str, revision: Option<&str>) -> Result<Snapshot, Error> {
        let id = RepoId::new(RepoKind::Dataset, repository).map_err(Error::HubName)?;
        let asked = revision.map_or_else(|| Ok(Revision::default()), Revision::new);
        let asked = asked.map_err(Error::HubName)?;
        answer(|| self.hub.resolve(&id, &asked))
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
        let snapshot = self.snapshot(repository, revision)?;
        let origin = |snapshot: &Snapshot, is_export| DatasetOrigin::Hub {
            repository: repository.to_owned(),
            commit: snapshot.commit.to_string(),
            is_export,
        };
        let tree = answer(|| self.hub.tree(&snapshot))?;
        let name = repository.rsplit('/').next().unwrap_or(repository);
        let script = format!("{name}.py");
        if !tree.files.iter().any(|file| file.path == script) {
            return Ok((origin(&snapshot, false), None));
        }
        let script = Notice::ParquetBranch {
            repository: repository.to_owned(),
        };
        match self.snapshot(repository, Some(PARQUET_BRANCH)) {
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
}

/// Asks the Hub, and waits for its answer.
fn answer<T: Send, F: Future<Output = Result<T, whence_hub::Error>>>(
    ask: impl FnOnce() -> F + Send,
) -> Result<T, Error> {
    let answer = content::wait(ask).map_err(Error::Thread)?;
    Ok(answer.map_err(Box::new)?)
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
        let tree = answer(|| self.hub.hub.tree(&self.snapshot))?;
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

    fn fetch(&self, file: &RepoFile) -> Result<PathBuf, Error> {
        let progress = self.hub.progress.as_ref();
        let fetched = answer(|| self.hub.hub.fetch(&self.snapshot, file, progress));
        fetched.map_err(|error| match error {
            Error::Hub(offline) if matches!(*offline, whence_hub::Error::Offline(_)) => {
                Error::HubNotCached {
                    repository: self.snapshot.repo.name().to_owned(),
                    file: file.path.clone(),
                }
            }
            error => error,
        })
    }

    /// Opens a file for reading by ranges. `None` if it is better fetched as a whole.
    fn open_ranges(&self, file: &RepoFile, digest: &str) -> Result<Option<SharedContent>, Error> {
        let hub = &self.hub.hub;
        let is_offline = hub.settings().is_offline(RepoKind::Dataset);
        let is_cached = hub.cached(&self.snapshot, &file.path).is_some();
        if is_cached || is_offline || file.size <= WHOLE_BYTES {
            return Ok(None);
        }
        let source = hub.open(&self.snapshot, file).map_err(Box::new)?;
        let repository = &self.snapshot.repo;
        let file = PinnedFile {
            source: Arc::new(source),
            name: format!("hf://{repository}/{}", file.path),
            num_bytes: file.size,
            version: digest.to_owned(),
        };
        let content = content::remote(file, self.hub.kept());
        let start = content.read_range(0..START_BYTES);
        let start = start.map_err(network_failed)?;
        Ok((!content::is_packed(&start)).then_some(content))
    }
}

impl Source for HubSource {
    fn files_below(&self, folder: &str, depth: Option<usize>) -> Result<Vec<String>, Error> {
        let paths = self.files()?.keys();
        let below = paths.filter(|path| is_below(path, folder, depth));
        Ok(below.cloned().collect())
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
        let listed = self.file(&file.path)?;
        if let Some(content) = self.open_ranges(listed, &file.digest)? {
            return Ok(content);
        }
        let path = self.fetch(listed)?;
        content::local(&path).map_err(unreadable(&path))
    }
}
