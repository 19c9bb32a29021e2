//! The hooked transformer: one implementation, described by data.
//!
//! `spec` says what a model is made of; the files named for architectures read it from
//! `config.json`; `layers` are the pieces, `stack` and `transformer` put them together; `weights`
//! reads the tensors. A forward pass returns everything its backward pass needs, and a backward
//! pass carries the seeds of all explained tokens at once.
//!
//! Letters of tensor shapes, the same everywhere: *rows* are token positions of all sequences of a
//! batch, one after another; *seed rows* those of all seeds; *hidden* the width of the residual
//! stream; *inner* that of a feed-forward network; *heads · dim* that of an attention.

pub mod config;
pub mod spec;
pub mod weights;

mod llama;
mod marian;

mod layers;
pub mod sequences;
pub mod stack;
pub mod transformer;

use std::path::Path;

use candle_core::DType;

use crate::Error;
use config::ConfigFile;
use spec::ModelSpec;
pub use transformer::{Embedded, Gradients, Inputs, Seed, Trace, Transformer, Wanted};

/// A family of models we can load.
pub struct Architecture {
    /// `model_type` of its `config.json`.
    pub name: &'static str,
    /// One line for `whence list models`.
    pub summary: &'static str,
    spec: fn(&ConfigFile) -> Result<ModelSpec, Error>,
}

/// Every architecture, in the order `whence list models` shows them.
pub const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        name: "llama",
        summary: "decoder-only: RMS norm, rotary positions, grouped-query attention, SwiGLU (Llama, SmolLM2)",
        spec: llama::spec,
    },
    Architecture {
        name: "marian",
        summary: "encoder-decoder: post-norm, sinusoidal positions, swish (OPUS-MT)",
        spec: marian::spec,
    },
];

/// Loads the model in `folder`, to compute in `dtype`.
///
/// Fails if its `model_type` is not in [`ARCHITECTURES`], or a file is missing or damaged.
pub fn load(folder: &Path, dtype: DType) -> Result<Transformer, Error> {
    let config = ConfigFile::read(folder, "config.json")?;
    let model_type = config.text("model_type")?;
    let Some(architecture) = ARCHITECTURES.iter().find(|architecture| architecture.name == model_type) else {
        let (path, model_type) = (config.path().to_owned(), model_type.to_owned());
        return Err(Error::UnknownArchitecture { path, model_type });
    };
    Transformer::load((architecture.spec)(&config)?, folder, dtype)
}
