//! A job: which model, which rows, which attribution.
//!
//! Two specifications with the same canonical JSON are the same job. Digests pin the bytes of model
//! and dataset, so that a job means the same tomorrow, on another machine and after a restart.

use serde::{Deserialize, Serialize};

use crate::attribution::AttributionSpec;
use crate::context::ContextOptions;
use crate::dataset::FormatSpec;
use crate::derivation::Derivation;
use crate::location::DatasetLocation;
use crate::{JobId, WorkerRequirements, canonical};

/// Version of the engine's numbers. Raised whenever they change, so that one table never mixes two
/// versions.
pub const NUMERICS_VERSION: u32 = 1;

/// Everything that determines a job's result. A job's id is the hash of this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// The model.
    pub model: ModelSource,
    /// The rows.
    pub dataset: DatasetSource,
    /// What to compute for each row.
    pub attribution: AttributionSpec,
    /// What the table was made of, if not by a model. The rest of the specification is then that of
    /// the first input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived_from: Option<Derivation>,
    /// If present, the job asks which output tokens depend on a context, and `attribution` says how
    /// these are attributed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextOptions>,
    /// Precision the engine computes in.
    #[serde(default)]
    pub dtype: Dtype,
    /// Seed of everything random. Each example's own seed is derived from it and the example's id.
    #[serde(default)]
    pub seed: u64,
    /// Target size of a shard: its estimated work, in tokens.
    #[serde(default = "default_shard_tokens")]
    pub shard_tokens: u64,
    /// Distinguishes a deliberate repetition of a job from the job it repeats, which would
    /// otherwise have the same id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The job whose failed rows this one computes again. Its other rows are copied from that job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<JobId>,
    /// What the job asks of its workers.
    #[serde(default, skip_serializing_if = "WorkerRequirements::is_empty")]
    pub workers: WorkerRequirements,
    /// [`NUMERICS_VERSION`] of the program that submitted the job.
    pub numerics_version: u32,
}

impl JobSpec {
    /// Returns the job's id: the hash of the canonical specification.
    pub fn id(&self) -> JobId {
        JobId::of(&self.canonical_json())
    }

    /// Returns the specification as canonical JSON. This form is sent to workers, stored, and
    /// hashed.
    pub fn canonical_json(&self) -> String {
        canonical::to_string(self).expect("a specification holds only what JSON can")
    }

    /// Returns whether the dataset gives the targets, so that none are generated.
    pub fn forces_targets(&self) -> bool {
        let generation = &self.attribution.generation;
        self.dataset.generated_field.is_some() && !generation.generate_from_target_prefix
    }

    /// Returns how many sequences the job asks for per row. If it does not say, the model's own
    /// setting applies; this returns 1 then, because nearly every model leaves it at that.
    pub fn num_samples(&self) -> usize {
        if self.forces_targets() {
            return 1;
        }
        let asked = self.attribution.generation.num_return_sequences;
        asked.unwrap_or(1).max(1)
    }
}

/// Returns the default shard size: minutes of work on a small machine, seconds on a large one. A
/// lost worker then costs little, and the coordinator is not asked too often.
pub const fn default_shard_tokens() -> u64 {
    16_384
}

/// A folder in Hugging Face layout, pinned to the contents it had when the job was submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSource {
    /// Path of the folder, which must be the same on every worker. For a model of the Hub, its
    /// address with the commit: `hf://ns/name@<commit>`, with `/<file>` for a GGUF file. For a
    /// model in a bucket, its URL.
    pub path: String,
    /// Digest of the folder's files. Workers refuse a folder with a different digest.
    pub digest: String,
    /// Address of the base model if the model is an adapter whose base is on the Hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
}

/// The dataset, pinned to the contents it had when the job was submitted, and which of its rows and
/// columns to use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetSource {
    /// Which dataset.
    pub location: DatasetLocation,
    /// How its files are read.
    pub format: FormatSpec,
    /// Digest of the list of the files of the chosen splits. The list itself is in the plan: a
    /// dataset may have 80,000 files.
    pub digest: String,
    /// Slice of the rows, in the syntax of `datasets`: `train[:20]`, `train[10%:20%]`.
    #[serde(default = "default_split")]
    pub split: String,
    /// Field with the input text; a path such as `translation.en`. Empty if `input_template` makes
    /// the input.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub input_field: String,
    /// Template that makes the input of several fields: `{premise} {hypothesis}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_template: Option<String>,
    /// Field with the forced target text; targets are generated when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated_field: Option<String>,
    /// Field with the encoder input each row is contrasted with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contrast_source_field: Option<String>,
    /// Field with the target text each row is contrasted with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contrast_target_field: Option<String>,
    /// Field with the context of the input. Only for jobs that ask what depends on a context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_context_field: Option<String>,
    /// Field with the context of the output. Only for jobs that ask what depends on a context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_context_field: Option<String>,
    /// Fields carried into the result unchanged, each a path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
}

impl DatasetSource {
    /// Describes all rows of the split `train` whose inputs are in `input_field`, without forced
    /// targets. `digest` is that of the list of files.
    pub fn new(
        location: DatasetLocation,
        format: impl Into<FormatSpec>,
        digest: String,
        input_field: &str,
    ) -> Self {
        Self {
            location,
            format: format.into(),
            digest,
            split: default_split(),
            input_field: input_field.to_owned(),
            input_template: None,
            generated_field: None,
            contrast_source_field: None,
            contrast_target_field: None,
            input_context_field: None,
            output_context_field: None,
            columns: Vec::new(),
        }
    }
}

fn default_split() -> String {
    "train".to_owned()
}

/// The precision of weights and arithmetic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Single precision.
    #[default]
    Float32,
    /// Double precision: slower. It is the reference that other precisions are compared with.
    Float64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::FormatName;
    use crate::location::DatasetOrigin;

    fn spec() -> JobSpec {
        JobSpec {
            model: ModelSource {
                path: "models/a".into(),
                digest: "1".into(),
                base: None,
            },
            dataset: DatasetSource::new(
                DatasetLocation::of(DatasetOrigin::Files),
                FormatName::Json,
                "2".into(),
                "text",
            ),
            attribution: AttributionSpec::of_method("saliency"),
            derived_from: None,
            context: None,
            dtype: Dtype::Float32,
            seed: 0,
            shard_tokens: default_shard_tokens(),
            run_id: None,
            retry_of: None,
            workers: WorkerRequirements::default(),
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
        other.dataset.digest = "3".into();
        assert_ne!(other.id(), spec().id());
    }
}
