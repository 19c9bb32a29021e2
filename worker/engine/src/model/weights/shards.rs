//! Which files of a folder make up its checkpoint.
//!
//! In transformers' order: one safetensors file, a safetensors index, one PyTorch file, a PyTorch
//! index. An index names the files its tensors are in.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::pytorch::PytorchFile;
use super::safetensors::SafetensorsFile;
use super::tensor_file::TensorFile;
use crate::Error;

/// Opens a file of one kind.
type Open = fn(PathBuf) -> Result<Box<dyn TensorFile>, Error>;

/// A kind of file and the name it goes by where there is one alone; its index is named after it.
const KINDS: &[(&str, Open)] = &[
    ("model.safetensors", |path| {
        Ok(Box::new(SafetensorsFile::open(path)?))
    }),
    ("pytorch_model.bin", |path| {
        Ok(Box::new(PytorchFile::open(path)?))
    }),
];

/// An index such as `model.safetensors.index.json`.
#[derive(Deserialize)]
struct ShardIndex {
    weight_map: HashMap<String, String>,
}

/// Opens every file of the checkpoint in `folder`, each once, in a fixed order.
pub(super) fn open(folder: &Path) -> Result<Vec<Box<dyn TensorFile>>, Error> {
    for (single, open) in KINDS {
        let path = folder.join(single);
        if path.exists() {
            return Ok(vec![open(path)?]);
        }
        let index = folder.join(format!("{single}.index.json"));
        if index.exists() {
            let names = file_names(&index)?;
            return names
                .iter()
                .map(|name| open(folder.join(name)))
                .collect::<Result<_, _>>();
        }
    }
    Err(Error::ModelFile {
        path: folder.join("model.safetensors"),
        source: std::io::ErrorKind::NotFound.into(),
    })
}

/// Returns whether `folder` has a checkpoint of one of our kinds.
pub(super) fn exist(folder: &Path) -> bool {
    KINDS.iter().any(|(single, _)| {
        folder.join(single).exists() || folder.join(format!("{single}.index.json")).exists()
    })
}

fn file_names(index_path: &Path) -> Result<Vec<String>, Error> {
    let text = std::fs::read_to_string(index_path).map_err(|source| Error::ModelFile {
        path: index_path.to_owned(),
        source,
    })?;
    let index: ShardIndex = serde_json::from_str(&text).map_err(|error| Error::ModelContent {
        path: index_path.to_owned(),
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
            path: index_path.to_owned(),
            reason: format!("`{name}` is not a file name"),
        }),
        None => Ok(names),
    }
}
