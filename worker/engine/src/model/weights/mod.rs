//! The tensors of a model in any file format: safetensors, PyTorch pickles, GGUF.
//!
//! The tensor directories are read and checked when the checkpoint is opened. The bytes of a
//! tensor are read once, when it is asked for, directly into the precision the engine computes in,
//! so that a model is never in memory twice. If the model would not fit even so, the embedding and
//! the weights of linear maps stay in the half precision they are stored in, and are widened where
//! they are used.

pub(crate) mod comparison;

pub(crate) mod adapter;

mod missing;
mod progress;

mod shards;
mod stacks;

mod floats;
pub(crate) mod gguf;
mod pytorch;
mod safetensors;
mod tensor_file;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Tensor};
use rayon::prelude::*;

use crate::Error;
use crate::kernels::{self, Place, host, rows};
use progress::LoadProgress;
use tensor_file::TensorFile;

/// The tensors of a model.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    files: Vec<Box<dyn TensorFile>>,
    /// For each tensor name, the index of the file that has it.
    file_of: HashMap<String, usize>,
    dtype: DType,
    place: Place,
    keeps_halves: bool,
    /// Beginnings of names, and what the files may have in their place.
    renamed: Vec<(&'static str, &'static str)>,
    progress: LoadProgress,
}

impl Checkpoint {
    /// Opens the checkpoint in `folder`, which will be read as `dtype`.
    ///
    /// Fails if there is none, or if one of its files is truncated or damaged.
    pub fn open(folder: &Path, dtype: DType) -> Result<Self, Error> {
        Ok(Self::from_files(folder, shards::open(folder)?, dtype))
    }

    /// Returns whether `folder` has a checkpoint that [`Checkpoint::open`] would open.
    pub(crate) fn exists(folder: &Path) -> bool {
        shards::exist(folder)
    }

    /// Wraps the tensors of an open GGUF file, which will be read as `dtype`.
    pub(crate) fn from_gguf(file: Arc<gguf::GgufFile>, dtype: DType) -> Result<Self, Error> {
        let path = file.path().to_owned();
        let files: Vec<Box<dyn TensorFile>> = vec![Box::new(gguf::GgufTensors::new(file)?)];
        Ok(Self::from_files(&path, files, dtype))
    }

    fn from_files(path: &Path, files: Vec<Box<dyn TensorFile>>, dtype: DType) -> Self {
        let mut file_of = HashMap::new();
        for (index, file) in files.iter().enumerate() {
            file_of.extend(file.names().into_iter().map(|name| (name, index)));
        }
        Self {
            path: path.to_owned(),
            progress: LoadProgress::over(file_of.len()),
            files,
            file_of,
            dtype,
            place: Place::memory(),
            keeps_halves: false,
            renamed: Vec::new(),
        }
    }

    /// Reads the tensor `name`. Fails if it is absent or its shape is not `shape`.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        self.read(name, shape, |_, _| self.dtype)
    }

    /// Reads the weight `name`. If the checkpoint keeps half precision, a weight stored that way
    /// is not widened. Fails if it is absent or its shape is not `shape`.
    pub fn weight(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        self.read(name, shape, |file, stored| self.weight_dtype(file, stored))
    }

    /// Reads the tensor `name` and puts it where the model computes. Fails as [`Self::tensor`]
    /// does.
    pub(crate) fn parameter(&self, name: &str, shape: &[usize]) -> Result<kernels::Tensor, Error> {
        Ok(self.place.put(&self.tensor(name, shape)?.into())?)
    }

    /// Returns the precision that a weight is read as: its own if the checkpoint keeps half
    /// precision and the weight is stored so.
    fn weight_dtype(&self, file: &dyn TensorFile, stored: &str) -> DType {
        let kept = file.precision(stored).filter(|_| self.keeps_halves);
        kept.filter(|kept| is_half(Some(*kept)))
            .unwrap_or(self.dtype)
    }

    /// Reads a tensor. `dtype` chooses the precision from the tensor's file and its name there.
    fn read(
        &self,
        name: &str,
        shape: &[usize],
        dtype: impl Fn(&dyn TensorFile, &str) -> DType,
    ) -> Result<Tensor, Error> {
        let (stored, file) = self.check_stored(name, shape)?;
        let tensor = file.read(stored, dtype(file, stored))?;
        self.progress.advance();
        Ok(tensor)
    }

    /// Finds the tensor `name`. Fails if it is absent, if its shape is not `shape`, or if its
    /// numbers are not floating point.
    fn check_stored(&self, name: &str, shape: &[usize]) -> Result<(&str, &dyn TensorFile), Error> {
        let Some((stored, file)) = self.find(name) else {
            return Err(missing::error(&self.path, &[name], &self.names()));
        };
        let refused = |reason: String| Error::Tensor {
            path: file.path().to_owned(),
            name: stored.to_owned(),
            reason,
        };
        let found = file.shape(stored).unwrap_or_default();
        if found != shape {
            return Err(refused(format!(
                "its shape is {found:?}, the configuration says {shape:?}"
            )));
        }
        if file.precision(stored).is_none() {
            return Err(refused(
                "its numbers are not floating-point ones of 16 bits or more; \
                 take the model's unquantized checkpoint"
                    .to_owned(),
            ));
        }
        Ok((stored, file))
    }

    /// Reads the weight `name` of a linear map that is stored transposed, as in GPT-2's `Conv1D`.
    /// `shape` is the shape of the result. Fails as [`Self::weight`] does.
    pub fn transposed_weight(&self, name: &str, shape: [usize; 2]) -> Result<Tensor, Error> {
        let [rows, columns] = shape;
        Ok(self.weight(name, &[columns, rows])?.t()?.contiguous()?)
    }

    /// Returns the same checkpoint, with [`Self::weight`] no longer widening half precision.
    #[must_use]
    pub(crate) fn keeping_halves(self) -> Self {
        Self {
            keeps_halves: true,
            ..self
        }
    }

    /// Returns the same checkpoint, whose files may have the second of a pair in `renamed` in place of
    /// the first, at the beginning of a name.
    #[must_use]
    pub(crate) fn with_names(self, renamed: Vec<(&'static str, &'static str)>) -> Self {
        Self { renamed, ..self }
    }

    /// Returns the same checkpoint, of a model that computes at `place`.
    #[must_use]
    pub(crate) fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// Returns where the model computes.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Returns how many numbers the checkpoint has, and how many of them are in half precision.
    pub(crate) fn numbers(&self) -> (u64, u64) {
        let (mut all, mut halves) = (0_u64, 0_u64);
        for (name, &file) in &self.file_of {
            let file = self.files[file].as_ref();
            let count = count(file, name);
            all = all.saturating_add(count);
            if is_half(file.precision(name)) {
                halves = halves.saturating_add(count);
            }
        }
        (all, halves)
    }

    /// Returns how many numbers are stored in each format, such as `BF16` or `Q4_1`.
    pub(crate) fn formats(&self) -> BTreeMap<String, u64> {
        let mut formats = BTreeMap::new();
        for (name, &file) in &self.file_of {
            let file = self.files[file].as_ref();
            let format = file.format_name(name);
            let format = format.unwrap_or_else(|| "another format".to_owned());
            *formats.entry(format).or_default() += count(file, name);
        }
        formats
    }

    /// Returns whether the checkpoint has the tensor `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Fails if the checkpoint has a tensor `name` that is not all zeros. The configuration does
    /// not use this tensor, so the model would not be the one that was trained.
    pub(crate) fn require_no(&self, name: &str) -> Result<(), Error> {
        let Some((stored, file)) = self.find(name) else {
            return Ok(());
        };
        if self.is_zero(stored)? {
            return Ok(());
        }
        Err(Error::Tensor {
            path: file.path().to_owned(),
            name: stored.to_owned(),
            reason: "the configuration does without it".to_owned(),
        })
    }

    /// Returns whether the tensor with the name `stored` in its file is all zeros.
    pub(crate) fn is_zero(&self, stored: &str) -> Result<bool, Error> {
        let sizes = rows::absolute(&self.stored(stored, DType::F32)?.into())?;
        Ok(host::sum(&sizes)? == 0.0)
    }

    /// Reads the tensor with the name `stored` in its file, whatever its shape.
    pub(crate) fn stored(&self, stored: &str, dtype: DType) -> Result<Tensor, Error> {
        match self.file_of.get(stored) {
            Some(&file) => self.files[file].read(stored, dtype),
            None => Err(missing::error(&self.path, &[stored], &self.names())),
        }
    }

    /// Returns the shape of the tensor with the name `stored` in its file.
    pub(crate) fn shape(&self, stored: &str) -> Option<Vec<usize>> {
        self.files[*self.file_of.get(stored)?].shape(stored)
    }

    /// Returns the names of all tensors as in the files, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.file_of.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// Returns the path of the checkpoint.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails if one of the tensors `stored`, named as in the files, has a number that is not
    /// finite. Needs the memory of one block per thread, not that of the tensors.
    pub(crate) fn check_finite<'s>(
        &self,
        stored: impl ParallelIterator<Item = &'s String>,
    ) -> Result<(), Error> {
        stored.try_for_each(|name| match self.file_of.get(name) {
            Some(&file) => self.files[file].check(name),
            None => Ok(()),
        })
    }

    /// Fails if the checkpoint has a tensor `name` that differs from `other`, which the model uses
    /// instead.
    pub(crate) fn require_same(&self, name: &str, other: &Tensor) -> Result<(), Error> {
        let Some((stored, file)) = self.find(name) else {
            return Ok(());
        };
        let own = self.weight(name, other.dims())?;
        if host::sum(&own.ne(other)?.into())? == 0.0 {
            return Ok(());
        }
        Err(Error::Tensor {
            path: file.path().to_owned(),
            name: stored.to_owned(),
            reason: "it differs from the embedding that encoder and decoder share; separate embeddings are not supported".to_owned(),
        })
    }

    /// Returns the precision that tensors are read as.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Finds a tensor. A model that was saved without its head lacks the first part of every name,
    /// so `transformer.h.0.ln_1.weight` may be stored as `h.0.ln_1.weight`. transformers accepts
    /// both. A model that was saved inside another one has another first part.
    fn find(&self, name: &str) -> Option<(&str, &dyn TensorFile)> {
        let of_base_model = name.split_once('.').map(|(_, rest)| rest.to_owned());
        let of_base_model = of_base_model.filter(|rest| rest.contains('.'));
        let renamed = self.renamed.iter().filter_map(|(own, stored)| {
            let rest = name.strip_prefix(own)?;
            Some(format!("{stored}{rest}"))
        });
        let mut spellings = [name.to_owned()]
            .into_iter()
            .chain(renamed)
            .chain(of_base_model);
        spellings.find_map(|name| {
            let (name, &index) = self.file_of.get_key_value(&name)?;
            Some((name.as_str(), self.files[index].as_ref()))
        })
    }
}

/// Returns how many numbers a tensor has.
fn count(file: &dyn TensorFile, name: &str) -> u64 {
    let shape = file.shape(name).unwrap_or_default();
    shape
        .iter()
        .fold(1, |count, &size| count.saturating_mul(size as u64))
}

fn is_half(precision: Option<DType>) -> bool {
    matches!(precision, Some(DType::F16 | DType::BF16))
}

#[cfg(test)]
mod tests;
