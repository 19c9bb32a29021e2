//! A model whose files were opened and checked against each other, with its weights not yet read.
//!
//! Everything that uses a model goes through here: loading it, `whence doctor`, and the commands
//! that submit a job. What one of them refuses, all of them refuse with the same message.

use std::collections::{BTreeMap, HashSet};

use candle_core::DType;
use rayon::prelude::*;
use tracing::info;

use super::architectures::{self, classes};
use super::files::ModelFiles;
use super::spec::{HeadWeight, ModelSpec};
use super::tensors::{Need, TensorSpec};
use super::transformer::Transformer;
use super::unread;
use super::weight_memory::WeightMemory;
use super::weights::Checkpoint;
use super::weights::adapter::Adapter;
use crate::kernels::Place;
use crate::{Error, Notice};

/// An opened model.
#[derive(Debug)]
pub struct OpenedModel {
    spec: ModelSpec,
    checkpoint: Checkpoint,
    /// Names, as in the files, of the tensors that the model uses.
    tensors: HashSet<String>,
    notices: Vec<Notice>,
}

impl OpenedModel {
    /// Opens the model in `files` for computing in `dtype`. Reads the configuration and the tensor
    /// directories; of the tensors themselves, only a few small ones.
    ///
    /// Fails if its `model_type` is not in [`super::ARCHITECTURES`], if a file is missing or
    /// damaged, or if the tensors do not match the configuration.
    pub fn open(files: &ModelFiles, dtype: DType) -> Result<Self, Error> {
        let config = files.config()?;
        let spec = architectures::spec(&config)?;
        let of_class = classes::check(&config, spec.encoder.is_some())?;
        let tensors = spec.tensors();
        let checkpoint = files.checkpoint(dtype)?;
        let mut checkpoint = checkpoint.with_names(spec.surroundings.renamed.clone());
        if let Some(adapter) = files.adapter() {
            checkpoint = checkpoint.adapted(adapter, &tensors)?;
            refuse_torn_tie(&spec, &checkpoint, adapter)?;
        }
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

    /// Returns the same model, to compute at `place`.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self {
            checkpoint: self.checkpoint.at(place),
            ..self
        }
    }

    /// Returns the model's specification.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Returns how many numbers are stored in each format.
    pub fn formats(&self) -> BTreeMap<String, u64> {
        self.checkpoint.formats()
    }

    /// Returns notices about the model's files.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Returns how much memory the weights need.
    pub fn memory(&self) -> WeightMemory {
        WeightMemory::new(&self.checkpoint)
    }

    /// Reads every tensor of the model once, block by block, without keeping any of them. Only an
    /// embedding that is stored more than once is held, for comparison.
    ///
    /// Fails if a number is not finite, if the contents of a file are damaged, or if copies of the
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

    /// Reads the weights. If they would not fit into `free` bytes in the precision the engine
    /// computes in, weights that are stored in half precision stay that way and are widened where
    /// they are used. The numbers are the same; a pass takes a little longer.
    ///
    /// Fails if a file is damaged, if a number is not finite, or if the weights do not fit on a device
    /// in any precision.
    pub fn load(self, free: Option<u64>) -> Result<Transformer, Error> {
        let memory = self.memory();
        if let Some(free) = free.filter(|free| memory.least() > *free && self.is_for_device()) {
            return Err(self.too_large(memory.least(), free));
        }
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

    fn is_for_device(&self) -> bool {
        !self.checkpoint.place().is_memory()
    }

    /// The system finds room for what main memory does not have; a device does not.
    fn too_large(&self, needed: u64, free: u64) -> Error {
        let (needed, free) = (needed.div_ceil(1 << 20), free >> 20);
        Error::ModelRefused {
            path: self.checkpoint.path().to_owned(),
            reason: format!("needs {needed} MiB of the device's memory, and {free} MiB are free"),
            next: "use a device with more memory, a smaller `--dtype`, or `--device cpu`"
                .to_owned(),
        }
    }
}

/// Fails if an adapter changes the embedding but not the head of a model that ties the two.
///
/// peft then computes with the old head before a merge and with the new one after it, so there is
/// no one right result.
fn refuse_torn_tie(
    spec: &ModelSpec,
    checkpoint: &Checkpoint,
    adapter: &Adapter,
) -> Result<(), Error> {
    let HeadWeight::OwnOrTied(head) = &spec.head.weight else {
        return Ok(());
    };
    if checkpoint.contains(head) || !checkpoint.is_adapted(&spec.embedding) {
        return Ok(());
    }
    Err(Error::ModelRefused {
        path: adapter.folder().to_owned(),
        reason: format!(
            "is an adapter that changes `{}`, which its base also uses as the head",
            spec.embedding
        ),
        next: "merge it with peft's `merge_and_unload()`, check the model, and save it".to_owned(),
    })
}
