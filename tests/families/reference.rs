//! Reads the models of `tests/families/models` and what transformers computes with them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::Deserialize;

/// A tiny model with the results of transformers.
pub(crate) struct Reference {
    /// Name of its folder.
    pub(crate) name: String,
    /// Path of its folder.
    pub(crate) folder: PathBuf,
    /// `model_type` of its configuration.
    pub(crate) model_type: String,
    pub(crate) sequences: Vec<Sequence>,
    tensors: HashMap<String, Tensor>,
}

/// Token ids of an example, and the step whose gradient is in the reference.
#[derive(Debug, Deserialize)]
pub(crate) struct Sequence {
    /// Input of the encoder; `None` for decoder-only models.
    pub(crate) source: Option<Vec<u32>>,
    /// Input of the decoder.
    pub(crate) target: Vec<u32>,
    /// The row of the decoder that is explained.
    pub(crate) row: usize,
    /// The token whose probability is explained.
    pub(crate) token: usize,
    /// What greedy search adds to the target.
    pub(crate) generated: Vec<u32>,
}

#[derive(Deserialize)]
struct ReferenceFile {
    sequences: Vec<Sequence>,
}

impl Reference {
    /// Reads all models, sorted by name.
    pub(crate) fn all() -> Vec<Self> {
        Self::of_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("families/models"))
    }

    /// Reads the models in another folder, sorted by name.
    pub(crate) fn of_folder(models: &Path) -> Vec<Self> {
        let entries = fs::read_dir(models).unwrap();
        let mut folders: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        folders.into_iter().map(Self::read).collect()
    }

    fn read(folder: PathBuf) -> Self {
        let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let file: ReferenceFile = serde_json::from_str(&text("reference.json")).unwrap();
        // An adapter has the configuration of its base.
        let config = fs::read_to_string(folder.join("config.json")).unwrap_or("{}".to_owned());
        let config: serde_json::Value = serde_json::from_str(&config).unwrap();
        let tensors =
            candle_core::safetensors::load(folder.join("reference.safetensors"), &Device::Cpu);
        Self {
            name: folder.file_name().unwrap().to_string_lossy().into_owned(),
            model_type: config["model_type"].as_str().unwrap_or_default().to_owned(),
            sequences: file.sequences,
            tensors: tensors.unwrap(),
            folder,
        }
    }

    /// Returns the values `what` that transformers computed for sequence `index`, row by row.
    pub(crate) fn truth(&self, what: &str, index: usize) -> Vec<f64> {
        let tensor = &self.tensors[&format!("{what}.{index}")];
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }
}
