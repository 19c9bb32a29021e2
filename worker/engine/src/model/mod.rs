//! The hooked transformer: one implementation, described by data.
//!
//! `spec` says what a model is made of; `architectures` read it from `config.json`; `layers` are the
//! pieces, `stack`, `head` and `transformer` put them together; `files` and `weights` read what is
//! on disk. A forward pass returns everything its backward pass needs, and a backward
//! pass serves all explained tokens at once.
//!
//! Letters of tensor shapes, the same everywhere: *rows* are token positions of all sequences of a
//! batch, one after another; *cotangent rows* those that the explained tokens of a backward pass have; *hidden* the width of the residual
//! stream; *inner* that of a feed-forward network; *heads · dim* that of an attention.

pub mod architectures;
pub mod config;
pub mod files;
pub mod spec;
pub mod weights;

pub(crate) mod chord;
pub mod dropout;
mod dropped_pass;
mod embedding;
mod head;
pub mod hooks;
mod layers;
mod pass;
pub mod sequences;
pub mod stack;
pub mod stream;
pub mod transformer;
pub(crate) mod zeroing;

use std::path::Path;

use candle_core::DType;
use tracing::info;
use whence_schemas::job::Dtype;

use crate::Error;
pub use architectures::{ARCHITECTURES, Architecture};
pub use files::ModelFiles;
pub use pass::{Embedded, ExplainedToken, Gradients, Inputs, Trace, Wanted};
pub use transformer::Transformer;

/// Loads the model at `path`, a folder or a GGUF file, to compute in `dtype`.
///
/// Fails if its `model_type` is not in [`ARCHITECTURES`], or a file is missing or damaged.
pub fn load(path: &Path, dtype: DType) -> Result<Transformer, Error> {
    load_files(&ModelFiles::open(path)?, dtype, None)
}

/// Memory the weights of a model take, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightMemory {
    /// All widened to the precision the engine computes in.
    pub widened: u64,
    /// Those that are stored in half precision kept so.
    pub kept: u64,
}

impl WeightMemory {
    /// Returns what the weights of `files` take where the engine computes in `dtype`. Reads the
    /// directories of tensors, not the tensors.
    ///
    /// Fails if there is no checkpoint, or it is damaged.
    pub fn from_files(files: &ModelFiles, dtype: Dtype) -> Result<Self, Error> {
        let dtype = precision(dtype);
        let (numbers, halves) = files.checkpoint(dtype)?.numbers();
        let whole = numbers.saturating_sub(halves);
        Ok(Self {
            widened: weight_bytes(numbers, dtype),
            kept: weight_bytes(whole, dtype).saturating_add(weight_bytes(halves, DType::F16)),
        })
    }
}

/// Returns what `numbers` weights take in `dtype`: linear maps are packed once for the forward and
/// once for the backward pass.
fn weight_bytes(numbers: u64, dtype: DType) -> u64 {
    const PACKINGS: u64 = 2;
    numbers.saturating_mul(PACKINGS * dtype.size_in_bytes() as u64)
}

/// Returns the precision a job calls `dtype`.
pub(crate) fn precision(dtype: Dtype) -> DType {
    match dtype {
        Dtype::Float32 => DType::F32,
        Dtype::Float64 => DType::F64,
    }
}

/// Loads the model of `files`, to compute in `dtype`. Where its weights would not fit into `free`
/// bytes in that precision, those that are stored as halves stay halves, and are widened where they
/// are used: the numbers are the same, a pass takes a little longer.
///
/// Fails as [`load`] does.
pub fn load_files(
    files: &ModelFiles,
    dtype: DType,
    free: Option<u64>,
) -> Result<Transformer, Error> {
    let spec = architectures::spec(&files.config()?)?;
    let checkpoint = files.checkpoint(dtype)?;
    let (numbers, halves) = checkpoint.numbers();
    let needed = weight_bytes(numbers, dtype);
    if halves > 0 && free.is_some_and(|free| needed > free) {
        info!(
            path = %files.path().display(),
            needed,
            free,
            numbers,
            halves,
            "keeping the weights in the half precision they are stored in"
        );
        return Transformer::load(spec, &checkpoint.keeping_halves());
    }
    Transformer::load(spec, &checkpoint)
}

#[cfg(test)]
pub(crate) mod random;

#[cfg(test)]
mod tests;
