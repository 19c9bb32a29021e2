//! Determines which files of a folder make up its checkpoint.
//!
//! The order is that of transformers: a single safetensors file, a safetensors index, a single
//! PyTorch file, a PyTorch index. An index names the files that hold its tensors.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::pytorch::PytorchFile;
use super::safetensors::SafetensorsFile;
use super::tensor_file::TensorFile;
use crate::Error;
use crate::model::disk;

/// Opens a file of one kind.
type Open = fn(PathBuf) -> Result<Box<dyn TensorFile>, Error>;

/// File name of a single-file checkpoint of each kind, and how to open it. The index has the same
/// name plus a suffix.
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

/// Opens every file of the checkpoint in `folder` once, in a fixed order.
pub(super) fn open(folder: &Path) -> Result<Vec<Box<dyn TensorFile>>, Error> {
    for (single, open) in KINDS {
        let path = folder.join(single);
        if path.exists() {
            return Ok(vec![open(path)?]);
        }
        let index = folder.join(format!("{single}.index.json"));
        if index.exists() {
            let names = file_names(&index)?;
            if let Some(name) = names.iter().find(|name| !folder.join(name).exists()) {
                return Err(Error::ModelRefused {
                    path: index,
                    reason: format!("names the weight file `{name}`, which is not beside it"),
                    next: "copy the missing file from where the others are from".to_owned(),
                });
            }
            return names
                .iter()
                .map(|name| open(folder.join(name)))
                .collect::<Result<_, _>>();
        }
    }
    Err(no_checkpoint(folder))
}

/// Returns the error for a folder without a supported checkpoint. It says what the folder has
/// instead.
fn no_checkpoint(folder: &Path) -> Error {
    let refused = |reason: String, next: String| Error::ModelRefused {
        path: folder.to_owned(),
        reason,
        next,
    };
    let found = weight_files(folder);
    let listed = |files: &[String]| format!("`{}`", files.join("`, `"));
    for (single, _) in KINDS {
        let (stem, extension) = single.rsplit_once('.').unwrap_or((single, ""));
        let is_shard = |file: &&String| {
            file.starts_with(&format!("{stem}-")) && file.ends_with(&format!(".{extension}"))
        };
        let shards: Vec<_> = found.iter().filter(is_shard).cloned().collect();
        if !shards.is_empty() {
            return refused(
                format!(
                    "has the weight files {}, but not their index `{single}.index.json`",
                    listed(&shards)
                ),
                format!("copy `{single}.index.json` from where the weights are from"),
            );
        }
    }
    if found.is_empty() {
        return refused(
            "has no weights".to_owned(),
            format!("a model needs {SERVED} beside its config.json"),
        );
    }
    refused(
        format!(
            "has its weights only in {}, which whence does not read",
            listed(&found)
        ),
        format!("a model needs {SERVED}; save it with transformers' `save_pretrained`"),
    )
}

/// The supported kinds of files, as an error message lists them.
const SERVED: &str =
    "`model.safetensors`, `pytorch_model.bin`, their shards with an index, or a GGUF file";

/// Name endings of files that hold weights, supported or not.
const WEIGHT_FILES: &[&str] = &[
    "safetensors",
    "bin",
    "pt",
    "pth",
    "ckpt",
    "h5",
    "msgpack",
    "onnx",
    "npz",
    "nemo",
    "tflite",
];

/// Returns the names of the files in `folder` that hold weights, sorted.
fn weight_files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let is_weights = |name: &String| {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension);
        extension.is_some_and(|extension| WEIGHT_FILES.contains(&extension))
            // transformers' `Trainer` saves its arguments beside every model.
            && name != "training_args.bin"
    };
    let mut names: Vec<_> = names.filter(is_weights).collect();
    names.sort_unstable();
    names
}

/// Returns whether `folder` has a checkpoint of a supported kind.
pub(super) fn exist(folder: &Path) -> bool {
    KINDS.iter().any(|(single, _)| {
        folder.join(single).exists() || folder.join(format!("{single}.index.json")).exists()
    })
}

/// Returns the names of the files that an index refers to, each once, sorted.
fn file_names(index_path: &Path) -> Result<Vec<String>, Error> {
    let text = disk::read_text(index_path)?;
    let index: ShardIndex = serde_json::from_str(&text).map_err(|error| Error::ModelContent {
        path: index_path.to_owned(),
        reason: error.to_string(),
    })?;
    let mut names: Vec<_> = index.weight_map.into_values().collect();
    names.sort_unstable();
    names.dedup();
    // The index comes from outside, so it may name only files beside itself, not paths outside its
    // folder.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(files: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        open(folder.path()).unwrap_err().to_string()
    }

    #[test]
    fn shards_without_their_index_are_named() {
        for (shard, index) in [
            (
                "model-00001-of-00002.safetensors",
                "model.safetensors.index.json",
            ),
            (
                "pytorch_model-00001-of-00002.bin",
                "pytorch_model.bin.index.json",
            ),
        ] {
            let message = refusal(&[(shard, "")]);
            assert!(
                message.contains(shard) && message.contains(index),
                "{message}"
            );
        }
    }

    #[test]
    fn a_shard_that_the_index_names_must_be_there() {
        let index = r#"{"weight_map": {"a": "model-00001-of-00002.safetensors"}}"#;
        let message = refusal(&[("model.safetensors.index.json", index)]);
        assert!(
            message.contains("model-00001-of-00002.safetensors"),
            "{message}"
        );
        assert!(message.contains("not beside it"), "{message}");
    }

    #[test]
    fn weights_of_other_frameworks_are_named() {
        let message = refusal(&[("tf_model.h5", ""), ("training_args.bin", "")]);
        assert!(message.contains("only in `tf_model.h5`,"), "{message}");
        assert!(refusal(&[("training_args.bin", "")]).contains("has no weights"));
    }
}
