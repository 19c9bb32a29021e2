//! Turns command-line options into a job specification, and checks it against the files it names.
//!
//! Every error in a request should be found here, before a job is submitted or a row is computed,
//! while the user is still watching.

mod attribution;
mod dataset;
mod hub_name;
mod kwargs;

use std::path::Path;

use whence_engine::GivenTexts;
use whence_schemas::job::{ModelSource, NUMERICS_VERSION};
use whence_schemas::{AttributionSpec, JobSpec};
use whence_worker::memory;

use crate::args::{BatchOptions, DatasetOptions, JobOptions, ModelOptions};
use crate::{Failure, output};
pub(crate) use attribution::attribution;
pub(crate) use dataset::location;
use hub_name::is_hub_name;

/// Returns the job's specification. Reads the model and the dataset once to compute their digests.
pub(crate) fn specification(
    model: &ModelOptions,
    dataset: &DatasetOptions,
    mut attribution: AttributionSpec,
    job: &JobOptions,
) -> Result<JobSpec, Failure> {
    if attribution.aggregators.as_ref().is_some_and(Vec::is_empty) {
        return Err(Failure::request(
            "a table holds one score per token, not raw scores; name aggregators, or save the raw \
             scores of single texts with `whence attribute --save-path`",
        ));
    }
    let given = GivenTexts {
        generated: dataset.generated_text_field.is_some(),
        contrast_source: dataset.contrast_source_field.is_some(),
        contrast_target: dataset.contrast_target_field.is_some(),
    };
    whence_engine::check_request(&attribution, given)?;
    let source = self::model(model)?;
    whence_engine::check_with_model(&attribution, given, Path::new(&source.path))?;
    whence_engine::pin(&mut attribution)?;
    Ok(JobSpec {
        model: source,
        dataset: dataset::source(dataset)?,
        attribution,
        dtype: model.dtype.into(),
        seed: job.seed,
        shard_tokens: job.shard_tokens,
        run_id: job.run_id.clone(),
        numerics_version: NUMERICS_VERSION,
    })
}

/// Returns the working memory in bytes that each of `workers` workers may use. `None` if
/// `--memory` was not given and the system does not report its free memory.
///
/// Fails if a worker's share would not be enough even for the shortest text.
pub(crate) fn memory_of_each(
    batch: &BatchOptions,
    model: &ModelOptions,
    workers: u16,
) -> Result<Option<u64>, Failure> {
    let Some(all) = batch.memory.or_else(memory::half_of_free) else {
        return Ok(None);
    };
    let each = all / u64::from(workers.max(1));
    let checked = whence_engine::check_memory(&folder(model)?, model.dtype.into(), each);
    match checked {
        Err(error @ whence_engine::Error::MemoryTooSmall { .. }) if workers > 1 => {
            let shared = format!("each of {workers} workers has its share of --memory: {error}");
            Err(Failure::request(shared).hint("or start fewer `--workers`"))
        }
        checked => {
            checked?;
            Ok(Some(each))
        }
    }
}

/// Returns the canonical path of the model's folder.
///
/// Fails if it does not exist. If the name looks like one on the Hub, the hint is the command that
/// downloads it.
pub(crate) fn folder(model: &ModelOptions) -> Result<std::path::PathBuf, Failure> {
    let path = Path::new(&model.model);
    path.canonicalize().map_err(|error| {
        let failure = Failure::request(format!("there is no model `{}`: {error}", model.model));
        let hint = "a model is a folder with config.json, a tokenizer and weights: *.safetensors, pytorch_model.bin or *.gguf";
        if is_hub_name(&model.model) {
            let local = model.model.rsplit('/').next().unwrap_or_default();
            return failure.hint(format!(
                "hf download {} --local-dir {local}   # then: --model {local}; {hint}",
                model.model
            ));
        }
        failure.hint(hint)
    })
}

/// Returns the model with its digest, after checking that a worker will be able to load it.
fn model(model: &ModelOptions) -> Result<ModelSource, Failure> {
    let folder = folder(model)?;
    let check = whence_engine::check_model(&folder, model.dtype.into())?;
    for notice in &check.notices {
        output::warn(notice);
    }
    let Some(path) = folder.to_str() else {
        return Err(Failure::request(format!(
            "the name of `{}` is not UTF-8; rename it",
            folder.display()
        )));
    };
    Ok(ModelSource {
        path: path.to_owned(),
        digest: whence_engine::digest(&folder)?,
    })
}
