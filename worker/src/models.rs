//! The cache of loaded models.
//!
//! Loading a model takes as long as computing many shards, so models stay loaded until newer ones
//! replace them. A folder whose files differ from those the job was submitted with is refused,
//! because its numbers would be those of another job.

use std::path::Path;

use tracing::warn;
use whence_engine::Engine;
use whence_schemas::job::{Dtype, ModelSource};

use crate::memory;

/// Loaded models, least recently used first.
#[derive(Debug)]
pub struct Models {
    loaded: Vec<Loaded>,
    capacity: usize,
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
    /// Returns an empty cache for `capacity` models, but at least one.
    pub fn new(capacity: usize) -> Self {
        Self {
            loaded: Vec::new(),
            capacity: capacity.max(1),
        }
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
            load(model, dtype)?
        };
        self.loaded.push(loaded);
        Ok(&self.loaded.last().expect("one was just pushed").engine)
    }
}

fn load(model: &ModelSource, dtype: Dtype) -> Result<Loaded, ModelError> {
    let failed = |source| ModelError::Load {
        path: model.path.clone(),
        source,
    };
    let folder = Path::new(&model.path);
    let found = whence_engine::digest(folder).map_err(failed)?;
    if found != model.digest {
        let (path, expected) = (model.path.clone(), model.digest.clone());
        return Err(ModelError::Changed {
            path,
            found,
            expected,
        });
    }
    let engine = Engine::load_within(folder, dtype, memory::free()).map_err(failed)?;
    for notice in engine.notices() {
        warn!(model = %model.path, %notice, "notice about the model's files");
    }
    Ok(Loaded {
        digest: found,
        dtype,
        engine,
    })
}
