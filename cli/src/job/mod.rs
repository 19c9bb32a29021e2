//! Turns command-line options into a job specification, and checks it against the files it names.
//!
//! Every error in a request should be found here, before a job is submitted or a row is computed,
//! while the user is still watching.

mod attribution;
mod dataset;
mod hub_name;
mod kwargs;
mod model;

use whence_engine::GivenTexts;
use whence_schemas::job::NUMERICS_VERSION;
use whence_schemas::{AttributionSpec, JobSpec};
use whence_worker::memory;

use crate::Failure;
use crate::args::{BatchOptions, DatasetOptions, JobOptions};
pub(crate) use attribution::attribution;
pub(crate) use dataset::location;
pub(crate) use model::{LocatedModel, locate};

/// Returns the job's specification. Reads the model and the dataset once to compute their digests.
pub(crate) fn specification(
    model: &LocatedModel,
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
    let source = model::source(model)?;
    whence_engine::check_with_model(&attribution, given, &model.path)?;
    whence_engine::pin(&mut attribution)?;
    Ok(JobSpec {
        model: source,
        dataset: dataset::source(dataset)?,
        attribution,
        dtype: model.dtype,
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
    model: &LocatedModel,
    workers: u16,
) -> Result<Option<u64>, Failure> {
    let Some(all) = batch.memory.or_else(memory::half_of_free) else {
        return Ok(None);
    };
    let each = all / u64::from(workers.max(1));
    let checked = whence_engine::check_memory(&model.path, model.dtype, each);
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
