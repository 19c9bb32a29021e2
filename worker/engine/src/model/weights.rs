//! A model folder's tensors: safetensors, in one file or in shards.
//!
//! Headers are read and checked when the checkpoint is opened, each tensor's bytes when it is asked
//! for, once, straight into the precision the engine computes in: a model never stands in memory
//! twice.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;

use crate::Error;

/// The header of a safetensors file stands behind its own length in eight bytes.
const LENGTH_BYTES: u64 = 8;
/// The format's own limit; a longer header means the file is something else.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// The tensors of a model folder.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    files: Vec<TensorFile>,
    /// Which file has a tensor.
    file_of: HashMap<String, usize>,
    dtype: DType,
}

#[derive(Debug)]
struct TensorFile {
    path: PathBuf,
    file: File,
    header: Metadata,
    data_start: u64,
}

/// `model.safetensors.index.json`.
#[derive(Deserialize)]
struct ShardIndex {
    weight_map: HashMap<String, String>,
}

impl Checkpoint {
    /// Opens the checkpoint in `folder`, to be read as `dtype`.
    ///
    /// Fails if there is none, or if a file of it is truncated or not safetensors.
    pub fn open(folder: &Path, dtype: DType) -> Result<Self, Error> {
        let mut files = Vec::new();
        let mut file_of = HashMap::new();
        for name in file_names(folder)? {
            let file = TensorFile::open(folder.join(name))?;
            file_of.extend(
                file.header
                    .tensors()
                    .into_keys()
                    .map(|name| (name, files.len())),
            );
            files.push(file);
        }
        Ok(Self {
            folder: folder.to_owned(),
            files,
            file_of,
            dtype,
        })
    }

    /// Reads the tensor `name` of shape `shape`. Fails if it is absent or has another shape.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        let Some(&index) = self.file_of.get(name) else {
            let reason = "no file of the checkpoint has it".to_owned();
            return Err(Error::Tensor {
                path: self.folder.clone(),
                name: name.to_owned(),
                reason,
            });
        };
        self.files[index].read(name, shape, self.dtype)
    }

    /// Returns whether the checkpoint has the tensor `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.file_of.contains_key(name)
    }
}

/// Returns the names of the files of a checkpoint, each once, in a fixed order.
fn file_names(folder: &Path) -> Result<Vec<String>, Error> {
    let single = "model.safetensors";
    let index_path = folder.join("model.safetensors.index.json");
    if folder.join(single).exists() || !index_path.exists() {
        return Ok(vec![single.to_owned()]);
    }
    let text = std::fs::read_to_string(&index_path).map_err(|source| Error::ModelFile {
        path: index_path.clone(),
        source,
    })?;
    let index: ShardIndex = serde_json::from_str(&text).map_err(|error| Error::ModelContent {
        path: index_path.clone(),
        reason: error.to_string(),
    })?;
    let mut names: Vec<_> = index.weight_map.into_values().collect();
    names.sort_unstable();
    names.dedup();
    // An index comes from outside: it may name files beside it, not climb out of its folder.
    match names
        .iter()
        .find(|name| Path::new(name).components().count() != 1 || name.as_str() == "..")
    {
        Some(name) => Err(Error::ModelContent {
            path: index_path,
            reason: format!("`{name}` is not a file name"),
        }),
        None => Ok(names),
    }
}

impl TensorFile {
    fn open(path: PathBuf) -> Result<Self, Error> {
        let read = |path: &Path| -> std::io::Result<(File, u64, u64)> {
            let mut file = File::open(path)?;
            let file_bytes = file.metadata()?.len();
            let mut length = [0; LENGTH_BYTES as usize];
            file.read_exact(&mut length)?;
            Ok((file, file_bytes, u64::from_le_bytes(length)))
        };
        let (file, file_bytes, header_bytes) = match read(&path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(Error::ModelContent {
                    path,
                    reason: "the file is too short for a header".to_owned(),
                });
            }
            Err(source) => return Err(Error::ModelFile { path, source }),
        };
        let damaged = |reason: String| Error::ModelContent {
            path: path.clone(),
            reason,
        };
        if header_bytes > MAX_HEADER_BYTES || header_bytes + LENGTH_BYTES > file_bytes {
            return Err(damaged(
                "it is not a safetensors file, or it is truncated".to_owned(),
            ));
        }
        let mut header = vec![0; header_bytes as usize];
        file.read_exact_at(&mut header, LENGTH_BYTES)
            .map_err(|source| Error::ModelFile {
                path: path.clone(),
                source,
            })?;
        let header: Metadata =
            serde_json::from_slice(&header).map_err(|error| damaged(error.to_string()))?;
        let data_start = LENGTH_BYTES + header_bytes;
        let expected = data_start + header.data_len() as u64;
        if expected != file_bytes {
            return Err(damaged(format!(
                "it has {file_bytes} bytes where its header says {expected}; copy it again"
            )));
        }
        Ok(Self {
            path,
            file,
            header,
            data_start,
        })
    }

    fn read(&self, name: &str, shape: &[usize], dtype: DType) -> Result<Tensor, Error> {
        let refused = |reason: String| Error::Tensor {
            path: self.path.clone(),
            name: name.to_owned(),
            reason,
        };
        let info: &TensorInfo = self
            .header
            .info(name)
            .ok_or_else(|| refused("it vanished".to_owned()))?;
        if info.shape != shape {
            return Err(refused(format!(
                "its shape is {:?}, the configuration says {shape:?}",
                info.shape
            )));
        }
        let stored = match info.dtype {
            safetensors::Dtype::F32 => DType::F32,
            safetensors::Dtype::F16 => DType::F16,
            safetensors::Dtype::BF16 => DType::BF16,
            safetensors::Dtype::F64 => DType::F64,
            other => {
                return Err(refused(format!(
                    "its type is {other:?}, expected a floating-point type"
                )));
            }
        };
        let (start, end) = info.data_offsets;
        let mut bytes = vec![0; end - start];
        self.file
            .read_exact_at(&mut bytes, self.data_start + start as u64)
            .map_err(|source| Error::ModelFile {
                path: self.path.clone(),
                source,
            })?;
        Ok(Tensor::from_raw_buffer(&bytes, stored, shape, &Device::Cpu)?.to_dtype(dtype)?)
    }
}

#[cfg(test)]
mod tests {
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
        assert!(
            Checkpoint::open(folder.path(), DType::F32)
                .unwrap()
                .contains("a")
        );
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
        assert!(
            checkpoint
                .tensor("b", &[1])
                .unwrap_err()
                .to_string()
                .contains("`b`")
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
