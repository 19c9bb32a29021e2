//! Turns command-line options into a job specification, and checks it against the files it names.
//!
//! Every error in a request should be found here, before a job is submitted or a row is computed,
//! while the user is still watching.

mod attribution;
mod context;
mod context_info;
mod dataset;
mod fields;
mod functions;
mod hub_name;
mod kwargs;
mod machine;
mod model;
mod rows;

use whence_schemas::job::NUMERICS_VERSION;
use whence_schemas::{AttributionSpec, ContextOptions, JobSpec};

use crate::Failure;
use crate::args::{JobOptions, ModelOptions};
pub(crate) use attribution::attribution;
pub(crate) use context::{ContextFlags, context, context_job};
pub(crate) use context_info::ContextInfo;
pub(crate) use dataset::location;
pub(crate) use fields::RowFields;
pub(crate) use functions::aggregators;
pub(crate) use machine::{check_memory, check_workers, engine, worker_config};
pub(crate) use model::{KnownModels, LocatedModel, address, locate, locate_sampler};
pub(crate) use rows::Rows;

/// A job as it was typed.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) model: &'a ModelOptions,
    pub(crate) rows: Rows<'a>,
    pub(crate) fields: RowFields,
    pub(crate) attribution: AttributionSpec,
    /// What to ask about contexts; `None` for a job that attributes its rows.
    pub(crate) context: Option<ContextOptions>,
    pub(crate) job: JobOptions,
}

/// Returns the job's specification and where its model is. Downloads the model if it is elsewhere,
/// and reads it and the dataset once to compute their digests.
pub(crate) async fn specification(
    request: Request<'_>,
) -> Result<(JobSpec, LocatedModel), Failure> {
    // Those who call this wait for other large futures too.
    Box::pin(specification_with(request, &mut KnownModels::default())).await
}

/// As [`specification`], but looks at no model that is known already.
pub(crate) async fn specification_with(
    request: Request<'_>,
    models: &mut KnownModels,
) -> Result<(JobSpec, LocatedModel), Failure> {
    let mut attribution = request.attribution;
    if attribution.aggregators.as_ref().is_some_and(Vec::is_empty) {
        return Err(Failure::request(
            "a table holds one score per token, not raw scores; name aggregators, or save the raw \
             scores of single texts with `whence attribute --save-path`",
        ));
    }
    let given = request.fields.given();
    // The contrasts of a job about contexts are its own texts, with and without context.
    if request.context.is_none() {
        whence_engine::check_request(&attribution, given)?;
    }
    // The dataset comes first: a mistake in its name must not cost the download of a model.
    let dataset = request.fields.of(dataset::source(request.rows)?);
    let (model, source) = models.find(request.model).await?;
    whence_engine::check_with_model(&attribution, given, &model.path)?;
    let sampler = locate_sampler(&mut attribution).await?;
    whence_engine::pin(&mut attribution)?;
    if let Some(address) = sampler {
        model::name_sampler(&mut attribution, &address)?;
    }
    let job = request.job;
    let spec = JobSpec {
        model: source,
        dataset,
        attribution,
        derived_from: None,
        context: request.context,
        dtype: model.dtype,
        seed: job.seed,
        shard_tokens: job.shard_tokens,
        run_id: job.run_id,
        retry_of: None,
        workers: job.workers.requirements(),
        numerics_version: NUMERICS_VERSION,
    };
    Ok((spec, model))
}
