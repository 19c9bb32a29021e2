//! The models a device holds ready.
//!
//! Loading takes as long as many shards, so models stay until newer ones push them out. A folder
//! whose files are not those the job was submitted with is refused: its numbers would be another
//! job's.

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

/// Why a model is not there.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// It cannot be read.
    #[error("load model `{path}`: {source}{}", after_semicolon(.source.next_step()))]
    Load {
        /// The folder.
        path: String,
        /// What is wrong with it.
        #[source]
        source: whence_engine::Error,
    },
    /// Its files are others than the job's.
    #[error(
        "model `{path}` is not the one the job was submitted with: its files have digest {found}, the job says {expected}; submit the job again or restore the files"
    )]
    Changed {
        /// The folder.
        path: String,
        /// Digest of the files that are there now.
        found: String,
        /// Digest in the job's specification.
        expected: String,
    },
}

/// Returns what to do next as the end of a message: what a job says has no line of its own for it.
fn after_semicolon(next: Option<String>) -> String {
    next.map_or_else(String::new, |next| format!("; {next}"))
}

impl Models {
    /// Makes room for `capacity` models, one at least.
    pub fn new(capacity: usize) -> Self {
        Self {
            loaded: Vec::new(),
            capacity: capacity.max(1),
        }
    }

    /// Returns the model, loaded now if it was not.
    pub fn get(&mut self, model: &ModelSource, dtype: Dtype) -> Result<&Engine, ModelError> {
        let is_it = |loaded: &Loaded| loaded.digest == model.digest && loaded.dtype == dtype;
        let loaded = if let Some(index) = self.loaded.iter().position(is_it) {
            self.loaded.remove(index)
        } else {
            // Room first: two large models need not fit at once.
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
        warn!(model = %model.path, %notice, "the model's files say something to know");
    }
    Ok(Loaded {
        digest: found,
        dtype,
        engine,
    })
}
