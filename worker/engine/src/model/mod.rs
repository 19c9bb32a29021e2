//! The hooked transformer: one implementation for all architectures, which are described by data.
//!
//! `spec` describes what a model is made of, and `architectures` derives that from `config.json`.
//! `layers` are the building blocks; `stack`, `head` and `transformer` assemble them. `files` and
//! `weights` read what is on disk. A forward pass returns everything that its backward pass needs,
//! and one backward pass serves all explained tokens at once.
//!
//! Names of tensor dimensions, the same everywhere:
//!
//! * *rows* are the token positions of all sequences of a batch, one after another;
//! * *cotangent rows* are the rows that the explained tokens of a backward pass have;
//! * *hidden* is the width of the residual stream;
//! * *inner* is the width of a feed-forward network's hidden layer;
//! * *heads · dim* is the width of an attention's queries, *dim* per head.

pub mod architectures;
pub mod config;
pub(crate) mod disk;
pub mod files;
pub mod spec;
pub mod tensors;
pub mod weights;

pub(crate) mod chord;
pub mod dropout;
mod dropped_pass;
mod embedding;
mod generating_pass;
mod head;
pub mod hooks;
mod kept;
mod layers;
mod opened;
mod pass;
mod row_counts;
pub mod sequences;
pub mod stack;
pub mod stream;
pub mod transformer;
pub(crate) mod unread;
mod weight_memory;
pub(crate) mod zeroing;

use std::path::Path;

use candle_core::DType;
use whence_schemas::job::Dtype;

use crate::Error;
pub use architectures::{ARCHITECTURES, Architecture};
pub use files::{AdapterBase, ModelFiles, base_elsewhere};
pub use opened::OpenedModel;
pub use pass::{Embedded, ExplainedToken, Gradients, Inputs, Trace, Wanted};
pub use row_counts::RowCounts;
pub use transformer::Transformer;
pub use weight_memory::WeightMemory;

/// Loads the model at `path`, a folder or a GGUF file, for computing in `dtype`.
///
/// Fails as [`OpenedModel::open`] and [`OpenedModel::load`] do.
pub fn load(path: &Path, dtype: DType) -> Result<Transformer, Error> {
    load_files(&ModelFiles::open(path)?, dtype, None)
}

/// Loads the model in `files` for computing in `dtype`. `free` is the available memory in bytes,
/// if it is limited.
///
/// Fails as [`OpenedModel::open`] and [`OpenedModel::load`] do.
pub fn load_files(
    files: &ModelFiles,
    dtype: DType,
    free: Option<u64>,
) -> Result<Transformer, Error> {
    OpenedModel::open(files, dtype)?.load(free)
}

/// Returns the candle type for a job's `dtype`.
pub(crate) fn precision(dtype: Dtype) -> DType {
    match dtype {
        Dtype::Float32 => DType::F32,
        Dtype::Float64 => DType::F64,
    }
}

#[cfg(test)]
pub(crate) mod random;

#[cfg(test)]
mod device_tests;
#[cfg(test)]
mod tests;
