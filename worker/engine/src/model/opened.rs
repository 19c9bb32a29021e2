//! A model whose files were opened and compared with each other, its weights still to be read.
//!
//! Every way to a model leads through here: loading it, `whence doctor`, and the commands that submit a
//! job. What one of them refuses, all of them refuse, with the same words.

use std::collections::HashSet;

use candle_core::DType;
use rayon::prelude::*;
use tracing::info;

use super::architectures::{self, classes};
use super::files::ModelFiles;
use super::spec::ModelSpec;
use super::tensors::{Need, TensorSpec};
use super::transformer::Transformer;
use super::unread;
use super::weight_memory::WeightMemory;
use super::weights::Checkpoint;
use crate::{Error, Notice};

/// An opened model.
#[derive(Debug)]
pub struct OpenedModel {
    spec: ModelSpec,
    checkpoint: Checkpoint,
    /// Names, in the files, of the tensors the model is made of.
    tensors: HashSet<String>,
    notices: Vec<Notice>,
}

impl OpenedModel {
    /// Opens the model of `files`, to compute in `dtype`. Reads its configuration and the directories
    /// of its tensors, and of the tensors only a few small ones.
    ///
    /// Fails if its `model_type` is not in [`super::ARCHITECTURES`], a file is missing or damaged, or
    /// the tensors are not those that the configuration speaks of.
    pub fn open(files: &ModelFiles, dtype: DType) -> Result<Self, Error> {
        let config = files.config()?;
        let spec = architectures::spec(&config)?;
        let of_class = classes::check(&config, spec.encoder.is_some())?;
        let checkpoint = files.checkpoint(dtype)?;
        let tensors = spec.tensors();
        let comparison = checkpoint.compare(&tensors)?;
        for tensor in tensors.iter().filter(|tensor| tensor.need == Need::Zero) {
            checkpoint.require_no(&tensor.name)?;
        }
        let of_tensors = unread::judge(&spec, &checkpoint, &comparison)?;
        let mut notices = files.notices().to_vec();
        notices.extend(of_class.into_iter().chain(of_tensors));
        Ok(Self {
            spec,
            checkpoint,
            tensors: comparison.read,
            notices,
        })
    }

    /// Returns what the model is made of.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Returns what a person should know about the model's files.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Returns what its weights take in memory.
    pub fn memory(&self) -> WeightMemory {
        WeightMemory::new(&self.checkpoint)
    }

    /// Reads every tensor of the model once, a block at a time, and keeps none; only an embedding that
    /// is stored more than once is held, to be compared.
    ///
    /// Fails if a number is not finite, a file is damaged where only its bytes tell, or copies of the
    /// embedding differ.
    pub fn check_weights(&self) -> Result<(), Error> {
        self.checkpoint.check_finite(self.tensors.par_iter())?;
        let tensors = self.spec.tensors().into_iter();
        let repeated = |tensor: &TensorSpec| {
            tensor.need == Need::RepeatsEmbedding && self.checkpoint.contains(&tensor.name)
        };
        for copy in tensors.filter(repeated) {
            let embedding = self.checkpoint.weight(&self.spec.embedding, &copy.shape)?;
            self.checkpoint.require_same(&copy.name, &embedding)?;
        }
        Ok(())
    }

    /// Reads the weights. Where they would not fit into `free` bytes in the precision the engine
    /// computes in, those that are stored as halves stay halves, and are widened where they are used:
    /// the numbers are the same, a pass takes a little longer.
    ///
    /// Fails if a file is damaged, or a number is not finite.
    pub fn load(self, free: Option<u64>) -> Result<Transformer, Error> {
        let memory = self.memory();
        if free.is_some_and(|free| memory.needs_halves(free)) {
            info!(
                path = %self.checkpoint.path().display(),
                widened = memory.widened,
                kept = memory.kept,
                free,
                "keeping the weights in the half precision they are stored in"
            );
            return Transformer::load(self.spec, &self.checkpoint.keeping_halves());
        }
        Transformer::load(self.spec, &self.checkpoint)
    }
}
