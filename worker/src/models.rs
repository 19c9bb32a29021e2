//! The cache of loaded models.
//!
//! Loading a model takes as long as computing many shards, so models stay loaded until newer ones
//! replace them. A folder whose files differ from those the job was submitted with is refused,
//! because its numbers would be those of another job.
//!
//! A model that is elsewhere is downloaded first, see [`crate::locate`].

use std::path::PathBuf;

use tracing::warn;
use whence_engine::sampler::SamplerSource;
use whence_engine::{Engine, Place, RowCounts};
use whence_schemas::job::{Dtype, ModelSource};
use whence_schemas::{AttributionSpec, chain};

use crate::locate::{LocateError, LocatedModel, ModelCaches};
use crate::memory;

/// Loaded models, least recently used first.
#[derive(Debug)]
pub struct Models {
    loaded: Vec<Loaded>,
    capacity: usize,
    /// The sampler that was used last, and where it is.
    sampler: Option<(ModelSource, PathBuf)>,
    /// Bytes that downloaded models may take on the disk.
    cache_bytes: Option<u64>,
    /// Number of the device among those of the worker, and the device.
    device: usize,
    place: Place,
}

#[derive(Debug)]
struct Loaded {
    digest: String,
    dtype: Dtype,
    engine: Engine,
}

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The model cannot be loaded.
    #[error("load model `{path}`: {source}{}", after_semicolon(.source.next_step()))]
    Load {
        /// Folder of the model.
        path: String,
        /// Why it cannot be loaded.
        #[source]
        source: whence_engine::Error,
    },
    /// The model is elsewhere and cannot be brought here.
    #[error("fetch model `{path}`: {}{}", chain(.source), after_semicolon(.source.help()))]
    Fetch {
        /// Address of the model.
        path: String,
        /// Why it cannot be had.
        source: Box<LocateError>,
    },
    /// The model's files have changed since the job was submitted.
    #[error(
        "model `{path}` is not the one the job was submitted with: its files have digest {found}, the job says {expected}; submit the job again or restore the files"
    )]
    Changed {
        /// Folder of the model.
        path: String,
        /// Digest of the current files.
        found: String,
        /// Digest in the job's specification.
        expected: String,
    },
}

/// Formats the next step as the end of the message. Failures of a job are one line each, so there
/// is no separate line for help.
fn after_semicolon(next: Option<String>) -> String {
    next.map_or_else(String::new, |next| format!("; {next}"))
}

impl Models {
    /// Returns an empty cache for `capacity` models, but at least one. Models that were downloaded
    /// take at most `cache_bytes` on the disk.
    pub fn new(capacity: usize, cache_bytes: Option<u64>) -> Self {
        Self {
            loaded: Vec::new(),
            capacity: capacity.max(1),
            sampler: None,
            cache_bytes,
            device: 0,
            place: Place::memory(),
        }
    }

    /// Returns the same cache, of models that compute at `place`, the worker's device number `device`.
    #[must_use]
    pub fn on(self, device: usize, place: Place) -> Self {
        Self {
            device,
            place,
            ..self
        }
    }

    /// Returns the number of the device among those of the worker.
    pub(crate) fn device(&self) -> usize {
        self.device
    }

    /// Returns how many rows went through the loaded models.
    pub fn row_counts(&self) -> RowCounts {
        let engines = self.loaded.iter().map(|loaded| &loaded.engine);
        engines.map(Engine::row_counts).sum()
    }

    /// Returns the digests of the loaded models, most recently used first. A model that is loaded in
    /// two precisions is named once.
    pub fn digests(&self) -> Vec<String> {
        let mut digests: Vec<String> = Vec::new();
        for loaded in self.loaded.iter().rev() {
            if !digests.contains(&loaded.digest) {
                digests.push(loaded.digest.clone());
            }
        }
        digests
    }

    /// Returns the model, and loads it first if it is not in the cache. Fails if it cannot be
    /// loaded, or if its files are not those of the job.
    pub fn get(&mut self, model: &ModelSource, dtype: Dtype) -> Result<&Engine, ModelError> {
        let is_it = |loaded: &Loaded| loaded.digest == model.digest && loaded.dtype == dtype;
        let loaded = if let Some(index) = self.loaded.iter().position(is_it) {
            self.loaded.remove(index)
        } else {
            // Unload before loading: two large models may not fit into memory at the same time.
            self.loaded
                .drain(..(self.loaded.len() + 1).saturating_sub(self.capacity));
            load(model, dtype, &self.locate(model)?, &self.place)?
        };
        self.loaded.push(loaded);
        Ok(&self.loaded.last().expect("one was just pushed").engine)
    }

    /// Returns what to compute, with the path that the sampler has on this machine if the method
    /// uses one.
    pub fn localized(&mut self, spec: &AttributionSpec) -> Result<AttributionSpec, ModelError> {
        let mut spec = spec.clone();
        let failed = |source| ModelError::Load {
            path: spec.method.name.clone(),
            source,
        };
        let sampler = whence_engine::sampler_of(&spec).map_err(failed)?;
        if let Some(SamplerSource::Pinned(source)) = sampler {
            let path = self.sampler_path(&source)?.display().to_string();
            let here = SamplerSource::Pinned(ModelSource { path, ..source });
            whence_engine::set_sampler(&mut spec, &here);
        }
        Ok(spec)
    }

    /// Brings a model to this machine.
    fn locate(&self, model: &ModelSource) -> Result<LocatedModel, ModelError> {
        let caches = ModelCaches::from_env(|name| std::env::var(name).ok());
        let caches = caches.map(|caches| caches.with_limit(self.cache_bytes));
        let located = caches.and_then(|caches| caches.locate_blocking(model));
        located.map_err(|source| ModelError::Fetch {
            path: model.path.clone(),
            source: Box::new(source),
        })
    }

    /// Returns where a sampler is on this machine. It is looked for once, and not for every group.
    fn sampler_path(&mut self, source: &ModelSource) -> Result<PathBuf, ModelError> {
        match &self.sampler {
            Some((known, path)) if known == source && path.exists() => Ok(path.clone()),
            _ => {
                let path = self.locate(source)?.path;
                self.sampler = Some((source.clone(), path.clone()));
                Ok(path)
            }
        }
    }
}

fn load(
    model: &ModelSource,
    dtype: Dtype,
    located: &LocatedModel,
    place: &Place,
) -> Result<Loaded, ModelError> {
    let failed = |source| ModelError::Load {
        path: model.path.clone(),
        source,
    };
    let found = whence_engine::digest(&located.path).map_err(failed)?;
    if found != model.digest {
        let (path, expected) = (model.path.clone(), model.digest.clone());
        return Err(ModelError::Changed {
            path,
            found,
            expected,
        });
    }
    let free = place.free_memory().or_else(memory::free);
    let engine = Engine::load_at(&located.path, dtype, free, place.clone()).map_err(failed)?;
    for notice in engine.notices() {
        warn!(model = %model.path, %notice, "notice about the model's files");
    }
    Ok(Loaded {
        digest: found,
        dtype,
        engine,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{model, model_folder};

    /// Returns a copy of the model `name` that a test may change.
    fn copied(name: &str) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(model_folder(name)).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        copy
    }

    #[test]
    fn the_model_that_was_not_used_for_longest_leaves_first() {
        let names = ["gpt2-random", "phi3-random", "xglm-random"];
        let sources = names.map(|name| model(&model_folder(name)));
        let mut models = Models::new(2, None);
        let mut use_of = |index: usize, dtype| {
            models.get(&sources[index], dtype).unwrap();
            let place = |digest: String| sources.iter().position(|model| model.digest == digest);
            let places: Option<Vec<_>> = models.digests().into_iter().map(place).collect();
            places.unwrap()
        };
        assert_eq!(use_of(0, Dtype::Float32), [0]);
        assert_eq!(use_of(1, Dtype::Float32), [1, 0]);
        assert_eq!(use_of(0, Dtype::Float32), [0, 1]);
        assert_eq!(use_of(2, Dtype::Float32), [2, 0]);
        // Another precision is another model: it takes the other place.
        assert_eq!(use_of(2, Dtype::Float64), [2]);
    }

    #[test]
    fn a_loaded_model_is_used_without_its_files() {
        let folder = copied("gpt2-random");
        let source = model(folder.path());
        let mut models = Models::new(1, None);
        models.get(&source, Dtype::Float32).unwrap();
        folder.close().unwrap();
        assert!(models.get(&source, Dtype::Float32).is_ok());
        let error = models.get(&source, Dtype::Float64).unwrap_err();
        assert!(matches!(error, ModelError::Load { .. }), "{error}");
        // The other precision needed its place, so it has left although nothing replaced it.
        assert_eq!(models.digests(), [""; 0]);
    }

    #[test]
    fn a_model_that_changed_since_the_job_was_submitted_is_refused() {
        let folder = copied("gpt2-random");
        let submitted = model(folder.path());
        let settings = folder.path().join("generation_config.json");
        std::fs::write(settings, r#"{"max_new_tokens": 1}"#).unwrap();
        let error = Models::new(1, None)
            .get(&submitted, Dtype::Float32)
            .unwrap_err();
        let message = error.to_string();
        let found = model(folder.path()).digest;
        for part in [
            &submitted.path,
            &submitted.digest,
            &found,
            "submit the job again",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_folder_without_a_model_is_named_with_the_next_step() {
        let folder = tempfile::tempdir().unwrap();
        let source = ModelSource {
            path: folder.path().display().to_string(),
            digest: "1".to_owned(),
            base: None,
        };
        let error = Models::new(1, None)
            .get(&source, Dtype::Float32)
            .unwrap_err();
        let message = error.to_string();
        assert!(message.contains(&source.path), "{message}");
        assert!(message.contains("config.json"), "{message}");
    }
}
