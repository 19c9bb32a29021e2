//! The committed models and data, and jobs that use them.

use std::fs;
use std::path::{Path, PathBuf};

use whence_datasets::pin;
use whence_datasets::resolve::{LocalSource, escape};
use whence_engine::{Attribution, Engine, Example};
use whence_schemas::job::{
    DatasetSource, Dtype, ModelSource, NUMERICS_VERSION, default_shard_tokens,
};
use whence_schemas::{
    AttributionSpec, DatasetLocation, DatasetOrigin, FunctionSpec, JobSpec, WorkerRequirements,
};

/// Returns the path of a committed file or folder below `tests/`.
pub fn path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// Copies the files of the folder `from` into the folder `to`, which exists.
///
/// # Panics
///
/// If a file cannot be read or written.
pub fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder to copy") {
        let entry = entry.expect("a file to copy");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

/// Returns where `tests/models/unpack_smollm2.py` puts a model, relative to `.models/` at the root of
/// the repository. It is there only if somebody ran the script.
pub fn unpacked(relative: &str) -> PathBuf {
    path("../.models").join(relative)
}

/// Returns the committed translation model.
pub fn marian() -> PathBuf {
    path("models/lo-en-fr-tiny")
}

/// Returns the 300 committed test translations.
pub fn translations() -> PathBuf {
    path("data/libreoffice-help-en-fr.test.jsonl")
}

/// Attributes `examples` as `spec` says, with `seed` for all random draws.
///
/// # Panics
///
/// If the engine refuses the specification, or an example cannot be attributed.
pub fn attribute(
    engine: &Engine,
    spec: &AttributionSpec,
    examples: &[Example],
    seed: u64,
) -> Vec<Attribution> {
    let attributor = engine.prepare(spec);
    let attributor = attributor.expect("a specification the engine serves");
    let results = attributor.with_seed(seed).attribute(examples).into_iter();
    let good = results.map(|result| result.expect("a good example"));
    good.collect()
}

/// Returns a job that attributes the rows `split` of `dataset` with `method`. Target texts are
/// forced.
///
/// # Panics
///
/// If a fixture is missing or damaged.
pub fn translation_job(dataset: &Path, split: &str, method: &str) -> JobSpec {
    let model = marian();
    let digest = whence_engine::digest(&model).expect("the fixture model is committed");
    let mut location = DatasetLocation::of(DatasetOrigin::Files);
    location.data_files = vec![escape(&dataset.display().to_string())];
    let pinned = pin(&location, split, &LocalSource).expect("the dataset can be read");
    let dataset_digest = pinned.digest();
    JobSpec {
        model: ModelSource {
            path: model.display().to_string(),
            digest,
            base: None,
        },
        dataset: DatasetSource {
            split: split.to_owned(),
            generated_field: Some("translation.fr".to_owned()),
            ..DatasetSource::new(location, pinned.format, dataset_digest, "translation.en")
        },
        attribution: AttributionSpec::of_method(method),
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

/// Returns a saliency job on the test translations whose shards have only a few rows each.
///
/// # Panics
///
/// As [`translation_job`].
pub fn job_in_small_shards(split: &str) -> JobSpec {
    JobSpec {
        shard_tokens: 200,
        ..translation_job(&translations(), split, "saliency")
    }
}

/// Returns a saliency job on the first `rows` of 200 short sentences, which takes only a moment.
///
/// # Panics
///
/// As [`translation_job`].
pub fn short_job(rows: u64, shard_tokens: u64) -> JobSpec {
    let dataset = path("data/short-en-fr.jsonl");
    JobSpec {
        shard_tokens,
        ..translation_job(&dataset, &format!("train[:{rows}]"), "saliency")
    }
}

/// Returns a job that is slow enough to be disturbed in the middle: [`short_job`] with integrated
/// gradients in `n_steps` steps.
///
/// # Panics
///
/// As [`translation_job`].
pub fn slow_job(rows: u64, shard_tokens: u64, n_steps: u64) -> JobSpec {
    let mut spec = short_job(rows, shard_tokens);
    let params = serde_json::json!({"n_steps": n_steps});
    spec.attribution.method = FunctionSpec {
        params: params.as_object().expect("an object").clone(),
        ..FunctionSpec::named("integrated_gradients")
    };
    spec
}
