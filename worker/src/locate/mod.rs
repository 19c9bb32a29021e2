//! Turns the address of a model into files on this machine.
//!
//! A model is a folder or a file of this machine, a repository on the Hub, or a folder in a bucket.
//! What is not here is downloaded once per machine: the caches are shared by all processes. An
//! adapter whose base is elsewhere is brought together with it. The engine itself uses no network
//! and sees only paths.

mod address;
mod base;
mod bucket;
mod error;
mod kept;

use std::path::PathBuf;

use tokio::runtime;
use whence_hub::{Hub, OnProgress, Settings, no_progress};
use whence_schemas::cache_folder;
use whence_schemas::job::ModelSource;

pub use address::ModelAddress;
pub use error::LocateError;
pub use kept::InUse;

/// A model on this machine.
#[derive(Debug)]
pub struct LocatedModel {
    /// Folder of the model, or its GGUF file.
    pub path: PathBuf,
    /// The address, pinned to a commit if the model is on the Hub.
    pub address: ModelAddress,
    /// Address of the base model, pinned too, if the model is an adapter whose base is on the Hub.
    pub base: Option<ModelAddress>,
    /// Keeps the files in the cache; to be dropped once they are read.
    pub in_use: Vec<InUse>,
}

/// Where models are looked for and kept.
#[derive(Debug, Clone)]
pub struct ModelCaches {
    hub: Settings,
    folder: PathBuf,
    max_bytes: Option<u64>,
}

/// A model that was fetched, whatever its base is.
struct Fetched {
    path: PathBuf,
    address: ModelAddress,
    in_use: Option<InUse>,
}

impl ModelCaches {
    /// Returns the caches that the environment names. `variable` looks up an environment variable.
    ///
    /// Fails if a variable of the Hub cannot be followed.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Result<Self, LocateError> {
        Ok(Self {
            folder: cache_folder(&variable).join("models"),
            hub: Settings::from_env(variable)?,
            max_bytes: None,
        })
    }

    /// Removes models from the caches as soon as they take more than `max_bytes` together, the one
    /// that was not read for the longest time first. Only models that whence has brought to this
    /// machine are counted and removed.
    #[must_use]
    pub fn with_limit(self, max_bytes: Option<u64>) -> Self {
        Self { max_bytes, ..self }
    }

    /// Returns the settings of the Hub.
    pub fn hub(&self) -> &Settings {
        &self.hub
    }

    /// Returns the model at `address` as files on this machine, after downloading those that the
    /// caches lack. `base` is the pinned address of its base, if a job has one.
    pub async fn locate(
        &self,
        address: &ModelAddress,
        base: Option<&ModelAddress>,
        progress: OnProgress<'_>,
    ) -> Result<LocatedModel, LocateError> {
        let adapter = self.fetch(address, progress).await?;
        let path = adapter.path;
        let Some(named) = whence_engine::model::base_elsewhere(&path)? else {
            return Ok(LocatedModel {
                path,
                address: adapter.address,
                base: None,
                in_use: adapter.in_use.into_iter().collect(),
            });
        };
        let base = match base {
            Some(base) => base.clone(),
            None => base::address(&path, &named)?,
        };
        let fetched = self.fetch(&base, progress).await;
        let base = fetched.map_err(|source| LocateError::NoBase {
            adapter: path.clone(),
            base: named.name.clone(),
            source: Box::new(source),
        })?;
        let together = self.folder.join("with-base");
        Ok(LocatedModel {
            path: base::join(&path, &named.name, &base.path, &together)?,
            address: adapter.address,
            base: Some(base.address),
            in_use: adapter.in_use.into_iter().chain(base.in_use).collect(),
        })
    }

    /// Does what [`Self::locate`] does for the model of a job. Must not be called on a thread that
    /// runs async code.
    pub fn locate_blocking(&self, model: &ModelSource) -> Result<LocatedModel, LocateError> {
        let address = ModelAddress::parse(&model.path)?;
        let base = model.base.as_deref().map(ModelAddress::parse).transpose()?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| LocateError::disk("start", "a thread", source))?;
        runtime.block_on(self.locate(&address, base.as_ref(), &no_progress))
    }

    /// Brings the model at `address` to this machine, whatever its base is.
    async fn fetch(
        &self,
        address: &ModelAddress,
        progress: OnProgress<'_>,
    ) -> Result<Fetched, LocateError> {
        match address {
            ModelAddress::Here(path) => Ok(Fetched {
                path: path.clone(),
                address: address.clone(),
                in_use: None,
            }),
            ModelAddress::Hub(name) => {
                let hub = Hub::new(self.hub.clone()).map_err(whence_hub::ModelError::from)?;
                let model = hub.fetch_model(name, progress).await?;
                Ok(self.fetched(
                    model.path,
                    ModelAddress::Hub(model.name),
                    &hub.local_models(),
                ))
            }
            ModelAddress::Bucket(url) => {
                let path = bucket::fetch(url, &self.folder, progress).await?;
                Ok(self.fetched(path, address.clone(), &[]))
            }
        }
    }

    /// Notes that a model is read, and makes room in the caches.
    fn fetched(&self, path: PathBuf, address: ModelAddress, on_hub: &[PathBuf]) -> Fetched {
        let beside = path.parent().filter(|_| path.is_file());
        let folder = beside.unwrap_or(&path);
        let in_use = InUse::begin(folder);
        if let Some(max_bytes) = self.max_bytes {
            let mut folders = bucket::folders(&self.folder);
            folders.extend_from_slice(on_hub);
            kept::shrink(&folders, max_bytes, folder);
        }
        Fetched {
            in_use: Some(in_use),
            path,
            address,
        }
    }
}
