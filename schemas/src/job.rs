//! A job: which model, which rows, which attribution.
//!
//! Two specifications with the same canonical JSON are the same job. Digests pin the bytes of model
//! and dataset, so that a job means the same tomorrow, on another machine, after a restart.

use serde::{Deserialize, Serialize};

use crate::attribution::AttributionSpec;
use crate::{JobId, canonical};

/// Raised whenever the engine's numbers change, so that one table never mixes two.
pub const NUMERICS_VERSION: u32 = 1;

/// Everything that determines a job's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// The model.
    pub model: ModelSource,
    /// The rows.
    pub dataset: DatasetSource,
    /// What to compute for each row.
    pub attribution: AttributionSpec,
    /// Precision the engine computes in.
    #[serde(default)]
    pub dtype: Dtype,
    /// Seed of everything random; each example's own is derived from it and the example's id.
    #[serde(default)]
    pub seed: u64,
    /// Estimated work of one shard, in tokens.
    #[serde(default = "default_shard_tokens")]
    pub shard_tokens: u64,
    /// Distinguishes a deliberate repetition from the job it repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// [`NUMERICS_VERSION`] of the engine that submitted.
    pub numerics_version: u32,
}

impl JobSpec {
    /// Returns the id: the hash of the canonical specification.
    pub fn id(&self) -> JobId {
        JobId::of(&self.canonical_json())
    }

    /// Returns the specification as canonical JSON: what travels, is stored, and is hashed.
    pub fn canonical_json(&self) -> String {
        canonical::to_string(self).expect("a specification holds only what JSON can")
    }

    /// Returns whether the dataset gives the targets, so that none is generated.
    pub fn forces_targets(&self) -> bool {
        let generation = &self.attribution.generation;
        self.dataset.generated_field.is_some() && !generation.generate_from_target_prefix
    }

    /// Returns how many sequences this job asks for of each row. Where it does not say, the model
    /// decides, which is 1 here: nearly every model leaves it at that.
    pub fn num_samples(&self) -> usize {
        if self.forces_targets() {
            return 1;
        }
        let asked = self.attribution.generation.num_return_sequences;
        asked.unwrap_or(1).max(1)
    }
}

/// Minutes of work on a small machine, seconds on a large one: little is lost with a worker, and
/// the coordinator is asked rarely.
pub const fn default_shard_tokens() -> u64 {
    16_384
}

/// A folder in Hugging Face layout, and what its files held when the job was submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSource {
    /// Folder, as every worker sees it.
    pub path: String,
    /// Digest of the folder's files; workers refuse a folder with another.
    pub digest: String,
}

/// Files of rows, and which rows and columns of them are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetSource {
    /// The files, in row order.
    pub files: Vec<DataFile>,
    /// Slice of the rows, in the grammar of `datasets`: `train[:20]`, `train[10%:20%]`.
    #[serde(default = "default_split")]
    pub split: String,
    /// Field with the input text; a path such as `translation.en`.
    pub input_field: String,
    /// Field with the forced target text; targets are generated when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated_field: Option<String>,
    /// Field with the encoder input each row is contrasted with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contrast_source_field: Option<String>,
    /// Field with the target text each row is contrasted with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contrast_target_field: Option<String>,
    /// Fields carried into the result unchanged, each a path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
}

fn default_split() -> String {
    "train".to_owned()
}

/// One file of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// Path or URL, as the coordinator sees it.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Digest of its bytes.
    pub digest: String,
}

/// The precision of weights and arithmetic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Single precision.
    #[default]
    Float32,
    /// Double precision: slower, the truth other precisions are held against.
    Float64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> JobSpec {
        JobSpec {
            model: ModelSource {
                path: "models/a".into(),
                digest: "1".into(),
            },
            dataset: DatasetSource {
                files: vec![DataFile {
                    path: "rows.jsonl".into(),
                    bytes: 10,
                    digest: "2".into(),
                }],
                split: default_split(),
                input_field: "text".into(),
                generated_field: None,
                contrast_source_field: None,
                contrast_target_field: None,
                columns: vec![],
            },
            attribution: AttributionSpec::of_method("saliency"),
            dtype: Dtype::Float32,
            seed: 0,
            shard_tokens: default_shard_tokens(),
            run_id: None,
            numerics_version: NUMERICS_VERSION,
        }
    }

    #[test]
    fn the_same_specification_is_the_same_job() {
        let written = serde_json::to_string_pretty(&spec()).unwrap();
        let read: JobSpec = serde_json::from_str(&written).unwrap();
        assert_eq!(read.id(), spec().id());
    }

    #[test]
    fn a_forced_target_stands_alone_unless_it_is_only_continued() {
        let mut spec = spec();
        spec.attribution.generation.num_return_sequences = Some(4);
        assert_eq!(spec.num_samples(), 4);
        spec.dataset.generated_field = Some("target".into());
        assert_eq!((spec.forces_targets(), spec.num_samples()), (true, 1));
        spec.attribution.generation.generate_from_target_prefix = true;
        assert_eq!((spec.forces_targets(), spec.num_samples()), (false, 4));
    }

    #[test]
    fn another_digest_is_another_job() {
        let mut other = spec();
        other.dataset.files[0].digest = "3".into();
        assert_ne!(other.id(), spec().id());
    }
}
