//! A model of the Hub as a folder on this machine.
//!
//! The folder of a snapshot in the cache holds whatever somebody has downloaded: other formats of
//! the same weights, or an adapter. A model's digest must not depend on that, so whence reads a
//! folder of its own with links to exactly the files that the model needs.

use std::fs;
use std::path::{Path, PathBuf};

use crate::blob::on_disk;
use crate::cache::{BlobAge, Cache};
use crate::download::OnProgress;
use crate::error::{Error, Subject};
use crate::hub::Hub;
use crate::model_files::{NoModel, gguf_files, model_files};
use crate::model_name::ModelName;
use crate::repo::{Revision, Snapshot};
use crate::tree::{RepoFile, Tree};

/// A model on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalModel {
    /// Folder of the model, or its GGUF file.
    pub path: PathBuf,
    /// The name, pinned to a commit.
    pub name: ModelName,
}

/// Why a model of the Hub cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The Hub or the cache failed.
    #[error(transparent)]
    Hub(#[from] Error),
    /// The repository holds no model that can be read.
    #[error("model `{name}`: {source}")]
    NoModel {
        /// The model's name.
        name: String,
        /// What is missing.
        source: NoModel,
    },
}

impl ModelError {
    /// Returns what can be done about the error.
    pub fn kind(&self) -> whence_schemas::ErrorKind {
        match self {
            Self::Hub(error) => error.kind(),
            Self::NoModel { source, .. } => source.kind(),
        }
    }

    /// Returns the next step for the person who reads the error.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Hub(error) => error.help(),
            Self::NoModel { .. } => None,
        }
    }
}

impl Hub {
    /// Returns a model of the Hub as a folder on this machine, after downloading the files that the
    /// cache lacks.
    pub async fn fetch_model(
        &self,
        name: &ModelName,
        progress: OnProgress<'_>,
    ) -> Result<LocalModel, ModelError> {
        let snapshot = self.resolve(&name.repo, &name.revision).await?;
        let tree = self.tree(&snapshot).await?;
        let needed = needed(name, &snapshot, &tree)?;
        let paths = self.fetch_all(&snapshot, &needed, progress).await?;
        let folder = self.cache().model(&snapshot, name.file.as_deref());
        let cache = self.cache().clone();
        let links = needed.iter().zip(paths);
        let links = links
            .map(|(file, path)| (place(name, file), path))
            .collect();
        let model = folder.clone();
        on_disk(move || assemble(&cache, &model, links)).await?;
        Ok(LocalModel {
            path: match &name.file {
                Some(file) => folder.join(file_name(file)),
                None => folder,
            },
            name: pinned(name, &snapshot),
        })
    }
}

/// The files of a model, and which of them this machine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelListing {
    /// The name, pinned to a commit.
    pub name: ModelName,
    /// The files that the model needs.
    pub files: Vec<RepoFile>,
    /// Those of them that are not in the cache.
    pub missing: Vec<RepoFile>,
    /// The model's `config.json` in the cache, if the repository has one.
    pub config: Option<PathBuf>,
}

impl Hub {
    /// Returns the folders of all models that [`Self::fetch_model`] has brought to this machine.
    pub fn local_models(&self) -> Vec<PathBuf> {
        self.cache().models()
    }

    /// Says what a model consists of. Downloads nothing but its `config.json`.
    pub async fn list_model(
        &self,
        name: &ModelName,
        progress: OnProgress<'_>,
    ) -> Result<ModelListing, ModelError> {
        let snapshot = self.resolve(&name.repo, &name.revision).await?;
        let tree = self.tree(&snapshot).await?;
        let files: Vec<_> = needed(name, &snapshot, &tree)?
            .into_iter()
            .cloned()
            .collect();
        let is_missing = |file: &&RepoFile| self.cached(&snapshot, &file.path).is_none();
        let missing = files.iter().filter(is_missing).cloned().collect();
        let config = match files.iter().find(|file| file.path == "config.json") {
            Some(config) => Some(self.fetch(&snapshot, config, progress).await?),
            None => None,
        };
        Ok(ModelListing {
            name: pinned(name, &snapshot),
            files,
            missing,
            config,
        })
    }
}

/// Returns the name at the commit of `snapshot`.
fn pinned(name: &ModelName, snapshot: &Snapshot) -> ModelName {
    ModelName {
        revision: Revision::from(&snapshot.commit),
        ..name.clone()
    }
}

fn needed<'a>(
    name: &ModelName,
    snapshot: &Snapshot,
    tree: &'a Tree,
) -> Result<Vec<&'a RepoFile>, ModelError> {
    let needed = match &name.file {
        Some(file) => gguf_files(&tree.files, file),
        None => model_files(&tree.files),
    };
    needed.map_err(|source| {
        // Offline, the cache may hold another part of the repository.
        if !tree.is_complete {
            return Error::Offline(Subject::snapshot(snapshot)).into();
        }
        let name = name.to_string();
        ModelError::NoModel { name, source }
    })
}

/// Returns where a file lies in the model's folder. A GGUF file lies beside what describes it,
/// whatever folder of the repository it is in.
fn place(name: &ModelName, file: &RepoFile) -> String {
    if name.file.as_ref() == Some(&file.path) {
        return file_name(&file.path).to_owned();
    }
    file.path.clone()
}

fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Makes the folder of a model hold these files. A file that is there stays: another process may be
/// about to open it.
fn assemble(cache: &Cache, folder: &Path, files: Vec<(String, PathBuf)>) -> Result<(), Error> {
    for (name, file) in files {
        let link = folder.join(name);
        if link.is_file() {
            continue;
        }
        let parent = link.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .map_err(|error| Error::disk("create the folder", parent, error))?;
        cache.link(&file, &link, BlobAge::Old)?;
    }
    Ok(())
}
