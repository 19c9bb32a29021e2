//! A model's tensors, whatever files they come in: safetensors, PyTorch pickles, GGUF.
//!
//! Directories of tensors are read and checked when the checkpoint is opened, each tensor's bytes
//! when it is asked for, once, straight into the precision the engine computes in: a model never
//! stands in memory twice. Where it would not fit even so, the weights of linear maps and the
//! embedding stay in the half precision they are stored in, and are widened where they are used.

mod floats;
pub(crate) mod gguf;
mod pytorch;
mod safetensors;
mod shards;
mod tensor_file;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Tensor};
use tracing::info;

use crate::Error;
use tensor_file::TensorFile;

/// The tensors of a model.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    files: Vec<Box<dyn TensorFile>>,
    /// Which file has a tensor.
    file_of: HashMap<String, usize>,
    dtype: DType,
    keeps_halves: bool,
    progress: LoadProgress,
}

impl Checkpoint {
    /// Opens the checkpoint in `folder`, to be read as `dtype`.
    ///
    /// Fails if there is none, or if a file of it is truncated or damaged.
    pub fn open(folder: &Path, dtype: DType) -> Result<Self, Error> {
        Ok(Self::from_files(folder, shards::open(folder)?, dtype))
    }

    /// Returns whether `folder` has a checkpoint that [`Checkpoint::open`] would open.
    pub(crate) fn exists(folder: &Path) -> bool {
        shards::exist(folder)
    }

    /// Takes the tensors of an open GGUF file, to be read as `dtype`.
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
            keeps_halves: false,
        }
    }

    /// Reads the tensor `name` of shape `shape`. Fails if it is absent or has another shape.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        self.read(name, shape, |_, _| self.dtype)
    }

    /// Reads the weight `name` of shape `shape`, in the half precision it is stored in where the
    /// checkpoint keeps halves. Fails if it is absent or has another shape.
    pub fn weight(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        self.read(name, shape, |file, stored| {
            let kept = file.precision(stored).filter(|_| self.keeps_halves);
            kept.filter(|kept| is_half(Some(*kept)))
                .unwrap_or(self.dtype)
        })
    }

    /// Reads a tensor in the precision `dtype` gives for its file and its name there.
    fn read(
        &self,
        name: &str,
        shape: &[usize],
        dtype: impl Fn(&dyn TensorFile, &str) -> DType,
    ) -> Result<Tensor, Error> {
        let Some((stored, file)) = self.find(name) else {
            let reason = "no file of the checkpoint has it".to_owned();
            return Err(Error::Tensor {
                path: self.path.clone(),
                name: name.to_owned(),
                reason,
            });
        };
        let found = file.shape(stored).unwrap_or_default();
        if found != shape {
            return Err(Error::Tensor {
                path: file.path().to_owned(),
                name: stored.to_owned(),
                reason: format!("its shape is {found:?}, the configuration says {shape:?}"),
            });
        }
        let tensor = file.read(stored, dtype(file, stored))?;
        self.progress.advance();
        Ok(tensor)
    }

    /// Reads the weight `name` of shape `shape` of a linear map, stored as its transpose, as GPT-2's
    /// `Conv1D` stores it. `shape` is the shape of the result. Fails as [`Self::weight`] does.
    pub fn transposed_weight(&self, name: &str, shape: [usize; 2]) -> Result<Tensor, Error> {
        let [rows, columns] = shape;
        Ok(self.weight(name, &[columns, rows])?.t()?.contiguous()?)
    }

    /// Returns the checkpoint, whose weights of half precision [`Self::weight`] reads as they are.
    #[must_use]
    pub(crate) fn keeping_halves(self) -> Self {
        Self {
            keeps_halves: true,
            ..self
        }
    }

    /// Returns how many numbers the checkpoint has, and how many of them in half precision.
    pub(crate) fn numbers(&self) -> (u64, u64) {
        let (mut all, mut halves) = (0_u64, 0_u64);
        for (name, &file) in &self.file_of {
            let file = self.files[file].as_ref();
            let shape = file.shape(name).unwrap_or_default();
            let count = shape
                .iter()
                .fold(1_u64, |n, &size| n.saturating_mul(size as u64));
            all = all.saturating_add(count);
            if is_half(file.precision(name)) {
                halves = halves.saturating_add(count);
            }
        }
        (all, halves)
    }

    /// Returns whether the checkpoint has the tensor `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Fails if the checkpoint has the tensor `name`, which the configuration does without, with
    /// anything but zeros in it: the model would not be the one that was trained.
    pub(crate) fn require_no(&self, name: &str) -> Result<(), Error> {
        let Some((stored, file)) = self.find(name) else {
            return Ok(());
        };
        let sum = file.read(stored, DType::F32)?.abs()?.sum_all()?;
        if sum.to_scalar::<f32>()? == 0.0 {
            return Ok(());
        }
        Err(Error::Tensor {
            path: file.path().to_owned(),
            name: stored.to_owned(),
            reason: "the configuration does without it".to_owned(),
        })
    }

    /// Fails if the checkpoint has the tensor `name`, and it differs from `other`, which the model
    /// uses in its place.
    pub(crate) fn require_same(&self, name: &str, other: &Tensor) -> Result<(), Error> {
        let Some((stored, file)) = self.find(name) else {
            return Ok(());
        };
        let own = self.weight(name, other.dims())?;
        if own
            .ne(other)?
            .to_dtype(DType::F32)?
            .sum_all()?
            .to_scalar::<f32>()?
            == 0.0
        {
            return Ok(());
        }
        Err(Error::Tensor {
            path: file.path().to_owned(),
            name: stored.to_owned(),
            reason: "it differs from the embedding that encoder and decoder share; separate embeddings are not supported".to_owned(),
        })
    }

    /// Returns the precision tensors are read as.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Finds a tensor. One that was saved from the model without its head has no first part:
    /// `h.0.ln_1.weight` is `transformer.h.0.ln_1.weight`, as transformers has it.
    fn find<'n>(&self, name: &'n str) -> Option<(&'n str, &dyn TensorFile)> {
        let of_base_model = name.split_once('.').map(|(_, rest)| rest);
        let spellings = [Some(name), of_base_model.filter(|rest| rest.contains('.'))];
        spellings.into_iter().flatten().find_map(|name| {
            let index = *self.file_of.get(name)?;
            Some((name, self.files[index].as_ref()))
        })
    }
}

fn is_half(precision: Option<DType>) -> bool {
    matches!(precision, Some(DType::F16 | DType::BF16))
}

/// How much of a checkpoint was read. Tells the log at each tenth.
#[derive(Debug)]
struct LoadProgress {
    tensors: usize,
    read: AtomicUsize,
}

impl LoadProgress {
    fn over(tensors: usize) -> Self {
        Self {
            tensors,
            read: AtomicUsize::new(0),
        }
    }

    fn advance(&self) {
        let read = self.read.fetch_add(1, Ordering::Relaxed) + 1;
        let tenth = |read: usize| read * 10 / self.tensors.max(1);
        if tenth(read) != tenth(read - 1) {
            info!(read, tensors = self.tensors, "loading the model's tensors");
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn folder_with(tensors: &[(&str, Tensor)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let tensors: HashMap<_, _> = tensors.iter().cloned().collect();
        candle_core::safetensors::save(&tensors, folder.path().join("model.safetensors")).unwrap();
        folder
    }

    fn half(values: &[f32]) -> Tensor {
        Tensor::new(values, &Device::Cpu)
            .unwrap()
            .to_dtype(DType::F16)
            .unwrap()
    }

    #[test]
    fn half_precision_is_widened_exactly() {
        let folder = folder_with(&[("a", half(&[0.5, -3.25, 65504.0]))]);
        let checkpoint = Checkpoint::open(folder.path(), DType::F64).unwrap();
        let values = checkpoint
            .tensor("a", &[3])
            .unwrap()
            .to_vec1::<f64>()
            .unwrap();
        assert_eq!(values, [0.5, -3.25, 65504.0]);
    }

    #[test]
    fn weights_stay_halves_where_they_are_kept() {
        let whole = Tensor::new(&[1_f32 / 3.0], &Device::Cpu).unwrap();
        let folder = folder_with(&[("a", half(&[0.5, -3.25])), ("b", whole)]);
        let checkpoint = Checkpoint::open(folder.path(), DType::F32).unwrap();
        assert_eq!(checkpoint.numbers(), (3, 2));
        assert_eq!(checkpoint.weight("a", &[2]).unwrap().dtype(), DType::F32);
        let checkpoint = checkpoint.keeping_halves();
        let kept = checkpoint.weight("a", &[2]).unwrap();
        assert_eq!(
            kept.to_vec1::<half::f16>().unwrap(),
            [0.5, -3.25].map(half::f16::from_f32)
        );
        assert_eq!(checkpoint.weight("b", &[1]).unwrap().dtype(), DType::F32);
        assert_eq!(checkpoint.tensor("a", &[2]).unwrap().dtype(), DType::F32);
    }

    #[test]
    fn what_the_model_would_leave_out_must_be_zero() {
        let folder = folder_with(&[("zero", half(&[0.0, -0.0])), ("other", half(&[0.0, 0.5]))]);
        let checkpoint = Checkpoint::open(folder.path(), DType::F32).unwrap();
        checkpoint.require_no("absent").unwrap();
        checkpoint.require_no("zero").unwrap();
        let error = checkpoint.require_no("other").unwrap_err().to_string();
        assert!(error.contains("`other`"), "{error}");
        let zero = checkpoint.weight("zero", &[2]).unwrap();
        checkpoint.require_same("zero", &zero).unwrap();
        let error = checkpoint.require_same("other", &zero).unwrap_err();
        assert!(error.to_string().contains("`other`"), "{error}");
    }

    #[test]
    fn shards_are_read_through_their_index() {
        let folder = folder_with(&[("a", half(&[1.0]))]);
        let path = |name: &str| folder.path().join(name);
        std::fs::rename(
            path("model.safetensors"),
            path("model-00001-of-00001.safetensors"),
        )
        .unwrap();
        let index = r#"{"weight_map": {"a": "model-00001-of-00001.safetensors"}}"#;
        std::fs::write(path("model.safetensors.index.json"), index).unwrap();
        let checkpoint = Checkpoint::open(folder.path(), DType::F32).unwrap();
        assert!(checkpoint.contains("a"));
    }

    #[test]
    fn a_wrong_shape_and_a_missing_tensor_are_named() {
        let folder = folder_with(&[("a", half(&[1.0]))]);
        let checkpoint = Checkpoint::open(folder.path(), DType::F32).unwrap();
        let error = checkpoint.tensor("a", &[2]).unwrap_err().to_string();
        assert!(
            error.contains("`a`") && error.contains("[1]") && error.contains("[2]"),
            "{error}"
        );
        let error = checkpoint.tensor("b", &[1]).unwrap_err().to_string();
        assert!(error.contains("`b`"), "{error}");
    }

    #[test]
    fn a_bare_model_is_read_under_the_names_of_the_whole_one() {
        let folder = folder_with(&[("h.0.weight", half(&[1.0])), ("weight", half(&[2.0]))]);
        let checkpoint = Checkpoint::open(folder.path(), DType::F32).unwrap();
        assert!(checkpoint.contains("transformer.h.0.weight"));
        assert!(!checkpoint.contains("lm_head.weight"));
    }

    #[test]
    fn a_transposed_matrix_is_turned() {
        let matrix = Tensor::new(&[[1f32, 2.0, 3.0], [4.0, 5.0, 6.0]], &Device::Cpu).unwrap();
        let folder = folder_with(&[("a", matrix)]);
        let checkpoint = Checkpoint::open(folder.path(), DType::F32).unwrap();
        let turned = checkpoint.transposed_weight("a", [3, 2]).unwrap();
        assert_eq!(
            turned.to_vec2::<f32>().unwrap(),
            [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]
        );
    }

    #[test]
    fn every_truncation_is_an_error() {
        let folder = folder_with(&[("a", half(&[1.0, 2.0]))]);
        let path = folder.path().join("model.safetensors");
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(
                Checkpoint::open(folder.path(), DType::F32).is_err(),
                "{length} bytes"
            );
        }
    }
}
