//! LoRA adapters (<https://arxiv.org/abs/2106.09685>), merged into their base model as its tensors
//! are read.
//!
//! A low-rank update of a weight `W` is `W + scaling · B A`, where `A` has `rank` rows and `B` as many
//! columns. With DoRA (<https://arxiv.org/abs/2402.09353>), each row of the result is then scaled to a
//! trained length. An adapter may also hold whole tensors, which replace those of the base.
//!
//! The arithmetic is that of peft's `merge_and_unload`, in the precision the engine computes in.
//! Every tensor of the adapter must find its place in the base; one that does not is refused by
//! name, because without it the model would not be the one that was trained.

mod adapted;
mod config;
mod names;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Checkpoint;
use super::pytorch::PytorchFile;
use super::safetensors::SafetensorsFile;
use super::tensor_file::TensorFile;
use crate::Error;
use crate::model::tensors::TensorSpec;
use adapted::{AdaptedFile, Replacements, Update};
use config::LoraConfig;
use names::Part;

/// The files that may hold an adapter's tensors, and how to open each.
const WEIGHTS: &[(&str, Open)] = &[
    ("adapter_model.safetensors", |path| {
        Ok(Arc::new(SafetensorsFile::open(path)?))
    }),
    ("adapter_model.bin", |path| {
        Ok(Arc::new(PytorchFile::open(path)?))
    }),
];

type Open = fn(PathBuf) -> Result<Arc<dyn TensorFile>, Error>;

/// An adapter whose configuration has been read.
#[derive(Debug)]
pub(crate) struct Adapter(LoraConfig);

impl Adapter {
    /// Reads the adapter in `folder`, or returns `None` if the folder is not one.
    ///
    /// Fails if it is an adapter that whence cannot merge.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, Error> {
        Ok(LoraConfig::read(folder)?.map(Self))
    }

    /// Returns the folder of the adapter.
    pub(crate) fn folder(&self) -> &Path {
        self.0.folder()
    }

    /// Returns the base model as the adapter names it: a path, or a name on the Hub.
    pub(crate) fn base(&self) -> Option<&str> {
        self.0.base()
    }

    /// Returns the base model's revision on the Hub, if the adapter names one.
    pub(crate) fn base_revision(&self) -> Option<&str> {
        self.0.base_revision()
    }

    fn open(&self) -> Result<Arc<dyn TensorFile>, Error> {
        for (name, open) in WEIGHTS {
            let path = self.folder().join(name);
            if path.exists() {
                return open(path);
            }
        }
        Err(Error::ModelRefused {
            path: self.folder().to_owned(),
            reason: "is an adapter without its tensors".to_owned(),
            next: "copy `adapter_model.safetensors` from where its `adapter_config.json` is from"
                .to_owned(),
        })
    }
}

impl Checkpoint {
    /// Returns the same checkpoint with `adapter` merged into its tensors. `tensors` are those of
    /// the model.
    ///
    /// Fails if a tensor of the adapter does not belong to one of the checkpoint's.
    pub(crate) fn adapted(self, adapter: &Adapter, tensors: &[TensorSpec]) -> Result<Self, Error> {
        let file = adapter.open()?;
        let transposed = |name: &str| {
            let spec = tensors.iter().find(|tensor| tensor.name == name);
            spec.is_some_and(|tensor| tensor.is_transposed)
        };
        let mut updates: HashMap<String, Update> = HashMap::new();
        let mut replaced = HashMap::new();
        for name in file.names() {
            let misplaced = || misplaced(file.path(), &name);
            let (target, part) = names::target(&name).ok_or_else(misplaced)?;
            let stored = self.find(&target).map(|(stored, _)| stored.to_owned());
            if part == Part::Whole {
                // A head that the base takes from its embedding may be trained by itself.
                let is_of_model = tensors.iter().any(|tensor| tensor.name == target);
                let stored = stored.or_else(|| is_of_model.then(|| target.clone()));
                replaced.insert(stored.ok_or_else(misplaced)?, name);
                continue;
            }
            let stored = stored.ok_or_else(misplaced)?;
            let update = updates.entry(stored).or_insert_with(|| {
                let module = target.strip_suffix(".weight").unwrap_or(&target);
                Update::new(module, part.is_of_embedding() || transposed(&target))
            });
            update.add(part, name);
        }
        for (stored, update) in &mut updates {
            update.complete(file.as_ref(), stored, &adapter.0)?;
        }
        let updates = Arc::new(updates);
        // The last file that has a tensor counts, so what is replaced comes last. peft also saves the
        // base of an embedding that it updates, so a replaced tensor may have an update too.
        let replacements: Box<dyn TensorFile> = Box::new(Replacements {
            adapter: file.clone(),
            replaced,
        });
        let adapted = |base| -> Box<dyn TensorFile> {
            Box::new(AdaptedFile {
                base,
                adapter: file.clone(),
                updates: updates.clone(),
            })
        };
        let files = self.files.into_iter().chain([replacements]);
        let files = files.map(adapted).collect();
        Ok(Self::from_files(&self.path, files, self.dtype))
    }
}

impl Checkpoint {
    /// Returns whether an adapter changes the tensor `name`.
    pub(crate) fn is_adapted(&self, name: &str) -> bool {
        let found = self.find(name);
        found.is_some_and(|(stored, file)| file.is_adapted(stored))
    }
}

fn misplaced(path: &Path, name: &str) -> Error {
    Error::Tensor {
        path: path.to_owned(),
        name: name.to_owned(),
        reason: "the base model has no weight that it could be merged into; \
                 is this the adapter's base?"
            .to_owned(),
    }
}
