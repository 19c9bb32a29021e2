//! A GGUF file: a whole model with quantized weights, configuration and vocabulary.
//!
//! Source of the format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>. The file is
//! opened once and serves the configuration, the tokenizer and the tensors. Weights are
//! dequantized when they are read, into the precision the engine computes in. The engine
//! differentiates through them, and half precision would round the product of a block's scale and
//! its small integers. Only tensors that are stored in half precision may stay that way.

mod architecture;
mod config;
mod header;
mod metadata;

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Seek};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Content;
use candle_core::{DType, Tensor};

use super::floats::ReadError;
use super::tensor_file::TensorFile;
use crate::Error;
use crate::kernels::{host, rows};
use crate::model::disk;
use architecture::{GgufArchitecture, RowOrder};
pub(crate) use metadata::Metadata;

/// An open GGUF file.
#[derive(Debug)]
pub(crate) struct GgufFile {
    path: PathBuf,
    reader: Mutex<BufReader<File>>,
    content: Content,
}

impl GgufFile {
    /// Opens the file. Fails if it is truncated or not a GGUF file.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let file = disk::open(path)?;
        let damaged = |reason: String| Error::ModelContent {
            path: path.to_owned(),
            reason,
        };
        let mut reader = BufReader::new(file);
        // candle divides by the alignment in the file without checking it.
        header::check_alignment(&mut reader).map_err(|error| damaged(error.to_string()))?;
        let content = (reader.rewind().map_err(candle_core::Error::from))
            .and_then(|()| Content::read(&mut reader))
            .map_err(|error| damaged(error.to_string()))?;
        let file_bytes = reader.seek(std::io::SeekFrom::End(0));
        let file_bytes = file_bytes.map_err(|error| damaged(error.to_string()))?;
        header::check_extents(&content, file_bytes).map_err(damaged)?;
        Ok(Self {
            path: path.to_owned(),
            reader: Mutex::new(reader),
            content,
        })
    }

    /// Fails if the file is only a part of a model or an addition to one.
    pub(crate) fn require_whole_model(&self) -> Result<(), Error> {
        let metadata = self.metadata();
        let refused = |reason: String, next: &str| {
            Err(Error::ModelRefused {
                path: self.path.clone(),
                reason,
                next: next.to_owned(),
            })
        };
        let kind = metadata.optional_text("general.type")?;
        if let Some(kind) = kind.filter(|kind| *kind != "model") {
            let reason = format!("is of the kind `{kind}`, not a whole model (`general.type`)");
            return refused(reason, "take the GGUF file of the whole model");
        }
        let parts = metadata.optional_size("split.count")?.unwrap_or(1);
        if parts > 1 {
            let reason = format!("is one of {parts} parts of a model (`split.count`)");
            return refused(
                reason,
                "merge them: llama-gguf-split --merge FIRST_PART MERGED",
            );
        }
        Ok(())
    }

    /// Returns the path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the file's metadata.
    pub(crate) fn metadata(&self) -> Metadata<'_> {
        Metadata::new(&self.path, &self.content.metadata)
    }

    /// Returns the `config.json` that transformers would save for this model.
    pub(crate) fn config(&self) -> Result<serde_json::Map<String, serde_json::Value>, Error> {
        let architecture = GgufArchitecture::from_metadata(&self.metadata())?;
        config::derive(architecture, &self.metadata(), |name| {
            self.content.tensor_infos.contains_key(name)
        })
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let info = self.content.tensor_infos.get(name)?;
        Some(info.shape.dims().to_vec())
    }

    fn precision(&self, name: &str) -> Option<DType> {
        match self.content.tensor_infos.get(name)?.ggml_dtype {
            GgmlDType::F16 => Some(DType::F16),
            GgmlDType::BF16 => Some(DType::BF16),
            _ => Some(DType::F32),
        }
    }

    fn format_name(&self, name: &str) -> Option<String> {
        let format = self.content.tensor_infos.get(name)?.ggml_dtype;
        Some(format!("{format:?}"))
    }

    /// Reads and dequantizes a tensor.
    fn read(&self, name: &str, dtype: DType) -> Result<Tensor, Error> {
        let refused = |reason: String| Error::Tensor {
            path: self.path.clone(),
            name: name.to_owned(),
            reason,
        };
        let Some(info) = self.content.tensor_infos.get(name) else {
            return Err(refused("the file does not have it".to_owned()));
        };
        let mut reader = self
            .reader
            .lock()
            .map_err(|_| refused("reading another tensor failed".to_owned()))?;
        let quantized = info
            .read(&mut *reader, self.content.tensor_data_offset, &host::MEMORY)
            .map_err(|error| refused(error.to_string()))?;
        let widened = quantized.dequantize(&host::MEMORY)?;
        // A damaged block scale can make numbers infinite or NaN.
        if !host::sum(&rows::absolute(&widened.clone().into())?)?.is_finite() {
            let numbers = host::download(&widened.clone().into())?;
            if let Some(index) = numbers.iter().position(|number| !number.is_finite()) {
                let count = numbers.len();
                return Err(refused(ReadError::NotFinite { index, count }.to_string()));
            }
        }
        Ok(widened.to_dtype(dtype)?)
    }
}

/// The tensors of a GGUF file, under transformers' names.
#[derive(Debug)]
pub(super) struct GgufTensors {
    file: Arc<GgufFile>,
    /// The name in the file and the order of the rows, by transformers' name.
    tensors: HashMap<String, (String, RowOrder)>,
}

impl GgufTensors {
    /// Maps the names of the tensors in `file`. Fails if its architecture is not supported.
    pub(super) fn new(file: Arc<GgufFile>) -> Result<Self, Error> {
        let metadata = file.metadata();
        let architecture = GgufArchitecture::from_metadata(&metadata)?;
        let mut tensors = HashMap::new();
        for stored in file.content.tensor_infos.keys() {
            // A tensor that transformers does not have keeps its name, and is later reported as
            // unused.
            let known = architecture.transformers_name(stored, &metadata)?;
            let (name, rows) = known.unwrap_or_else(|| (stored.clone(), RowOrder::InOrder));
            tensors.insert(name, (stored.clone(), rows));
        }
        Ok(Self { file, tensors })
    }
}

impl TensorFile for GgufTensors {
    fn path(&self) -> &Path {
        self.file.path()
    }

    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let (stored, _) = self.tensors.get(name)?;
        self.file.shape(stored)
    }

    fn precision(&self, name: &str) -> Option<DType> {
        let (stored, _) = self.tensors.get(name)?;
        self.file.precision(stored)
    }

    fn format_name(&self, name: &str) -> Option<String> {
        let (stored, _) = self.tensors.get(name)?;
        self.file.format_name(stored)
    }

    fn read(&self, name: &str, dtype: DType) -> Result<Tensor, Error> {
        let Some((stored, rows)) = self.tensors.get(name) else {
            return Err(Error::Tensor {
                path: self.file.path().to_owned(),
                name: name.to_owned(),
                reason: "the file does not have it".to_owned(),
            });
        };
        Ok(rows.restore(&self.file.read(stored, dtype)?)?)
    }

    fn check(&self, name: &str) -> Result<(), Error> {
        self.read(name, DType::F32).map(drop)
    }
}
