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

use std::path::PathBuf;

use tokio::runtime;
use whence_hub::{Hub, OnProgress, Settings, no_progress};
use whence_schemas::cache_folder;
use whence_schemas::job::ModelSource;

pub use address::ModelAddress;
pub use error::LocateError;

/// A model on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedModel {
    /// Folder of the model, or its GGUF file.
    pub path: PathBuf,
    /// The address, pinned to a commit if the model is on the Hub.
    pub address: ModelAddress,
    /// Address of the base model, pinned too, if the model is an adapter whose base is on the Hub.
    pub base: Option<ModelAddress>,
}

/// Where models are looked for and kept.
#[derive(Debug, Clone)]
pub struct ModelCaches {
    hub: Settings,
    folder: PathBuf,
}

impl ModelCaches {
    /// Returns the caches that the environment names. `variable` looks up an environment variable.
    ///
    /// Fails if a variable of the Hub cannot be followed.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Result<Self, LocateError> {
        Ok(Self {
            folder: cache_folder(&variable).join("models"),
            hub: Settings::from_env(variable)?,
        })
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
        let (path, address) = self.fetch(address, progress).await?;
        let Some(named) = whence_engine::model::base_elsewhere(&path)? else {
            return Ok(LocatedModel {
                path,
                address,
                base: None,
            });
        };
        let base = match base {
            Some(base) => base.clone(),
            None => base::address(&path, &named)?,
        };
        let fetched = self.fetch(&base, progress).await;
        let (base_path, base) = fetched.map_err(|source| LocateError::NoBase {
            adapter: path.clone(),
            base: named.name.clone(),
            source: Box::new(source),
        })?;
        let together = self.folder.join("with-base");
        Ok(LocatedModel {
            path: base::join(&path, &named.name, &base_path, &together)?,
            address,
            base: Some(base),
        })
    }

    /// Returns the path of the model as a job names it. Must not be called on a thread that runs
    /// async code.
    pub fn locate_blocking(&self, model: &ModelSource) -> Result<PathBuf, LocateError> {
        let address = ModelAddress::parse(&model.path)?;
        let base = model.base.as_deref().map(ModelAddress::parse).transpose()?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| LocateError::disk("start", "a thread", source))?;
        let located = runtime.block_on(self.locate(&address, base.as_ref(), &no_progress));
        Ok(located?.path)
    }

    /// Returns the path of the model at `address`, whatever its base is, and the pinned address.
    async fn fetch(
        &self,
        address: &ModelAddress,
        progress: OnProgress<'_>,
    ) -> Result<(PathBuf, ModelAddress), LocateError> {
        match address {
            ModelAddress::Here(path) => Ok((path.clone(), address.clone())),
            ModelAddress::Hub(name) => {
                let hub = Hub::new(self.hub.clone()).map_err(whence_hub::ModelError::from)?;
                let model = hub.fetch_model(name, progress).await?;
                Ok((model.path, ModelAddress::Hub(model.name)))
            }
            ModelAddress::Bucket(url) => {
                let path = bucket::fetch(url, &self.folder, progress).await?;
                Ok((path, address.clone()))
            }
        }
    }
}
