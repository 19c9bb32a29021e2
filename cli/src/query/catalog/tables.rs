//! The tables `jobs` and `runs`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampMillisecondArray, UInt64Array,
};
use arrow::error::ArrowError;
use serde::Serialize;
use whence_coordinator::durable::manifest::Manifest;
use whence_schemas::{AttributionSpec, DatasetSource, JobSpec, canonical, layout};

use super::job::CatalogJob;
use crate::Failure;

/// Returns the table `jobs`.
///
/// Columns that depend on the slots' contents (`errors`, `bytes`) are null until a job is sealed.
/// Computing them earlier would mean reading every slot before any query could run.
pub(super) fn jobs(jobs: &[CatalogJob]) -> Result<RecordBatch, Failure> {
    let texts = |of: &dyn Fn(&CatalogJob) -> Option<String>| texts(jobs, of);
    let counts = |of: fn(&Manifest) -> u64| -> ArrayRef {
        let counts = jobs.iter().map(|job| job.sealed.as_ref().map(of));
        Arc::new(UInt64Array::from_iter(counts))
    };
    let attribution = |job: &CatalogJob| job.spec.attribution.attributed_fn.name.clone();
    build(vec![
        ("job", texts(&|job| Some(job.id.to_string()))),
        ("state", texts(&|job| Some(job.state.to_owned()))),
        ("submitted_at", submitted(jobs)),
        ("model", texts(&|job| partition(job, "model"))),
        ("method", texts(&|job| partition(job, "method"))),
        ("dataset", texts(&|job| partition(job, "dataset"))),
        ("attributed_fn", texts(&|job| Some(attribution(job)))),
        (
            "rows",
            Arc::new(UInt64Array::from_iter(jobs.iter().map(|job| job.rows))),
        ),
        ("errors", counts(|manifest| manifest.errors)),
        ("bytes", counts(|manifest| manifest.bytes)),
        ("seed", numbers(jobs, |job| job.spec.seed)),
        ("run_id", texts(&|job| job.spec.run_id.clone())),
        ("specification", texts(&|job| json(&job.spec))),
    ])
}

/// Returns the table `runs`.
pub(super) fn runs(jobs: &[CatalogJob]) -> Result<RecordBatch, Failure> {
    let mut columns = sources(jobs);
    columns.extend(parameters(jobs));
    columns.extend([
        ("seed", numbers(jobs, |job| job.spec.seed)),
        ("run_id", texts(jobs, &|job| job.spec.run_id.clone())),
        (
            "retry_of",
            texts(jobs, &|job| {
                job.spec.retry_of.as_ref().map(ToString::to_string)
            }),
        ),
    ]);
    build(columns)
}

/// Returns the columns of `runs` that name the model and the dataset.
fn sources(jobs: &[CatalogJob]) -> Vec<(&'static str, ArrayRef)> {
    let of_job = |of: fn(&JobSpec) -> Option<String>| texts(jobs, &|job| of(&job.spec));
    let of_dataset =
        |of: fn(&DatasetSource) -> Option<String>| texts(jobs, &|job| of(&job.spec.dataset));
    let input = |dataset: &DatasetSource| {
        let template = dataset.input_template.clone();
        template.or_else(|| Some(dataset.input_field.clone()))
    };
    let generated = |dataset: &DatasetSource| dataset.generated_field.clone();
    vec![
        ("job", of_job(|spec| Some(spec.id().to_string()))),
        ("model_path", of_job(|spec| Some(spec.model.path.clone()))),
        (
            "model_digest",
            of_job(|spec| Some(spec.model.digest.clone())),
        ),
        (
            "dataset_location",
            of_dataset(|dataset| json(&dataset.location)),
        ),
        ("split", of_dataset(|dataset| Some(dataset.split.clone()))),
        ("input_field", of_dataset(input)),
        ("generated_field", of_dataset(generated)),
    ]
}

/// Returns the columns of `runs` that say what is computed.
fn parameters(jobs: &[CatalogJob]) -> Vec<(&'static str, ArrayRef)> {
    let of =
        |of: fn(&AttributionSpec) -> Option<String>| texts(jobs, &|job| of(&job.spec.attribution));
    let flags = |of: fn(&AttributionSpec) -> bool| -> ArrayRef {
        let flags = jobs.iter().map(|job| Some(of(&job.spec.attribution)));
        Arc::new(BooleanArray::from_iter(flags))
    };
    let function = |spec: &AttributionSpec| Some(spec.attributed_fn.name.clone());
    vec![
        ("method", of(|spec| Some(spec.method.name.clone()))),
        ("method_params", of(|spec| json(&spec.method.params))),
        ("attributed_fn", of(function)),
        (
            "attributed_fn_params",
            of(|spec| json(&spec.attributed_fn.params)),
        ),
        (
            "step_scores",
            of(|spec| Some(spec.step_score_labels().join(","))),
        ),
        ("aggregators", of(|spec| json(spec.aggregators.as_ref()?))),
        ("normalize", flags(|spec| spec.normalize)),
        ("attribute_target", flags(|spec| spec.attribute_target)),
        ("generation", of(|spec| json(&spec.generation))),
        ("dtype", texts(jobs, &|job| name(&job.spec.dtype))),
        ("compat", of(|spec| name(&spec.compat))),
    ]
}

fn build(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch, Failure> {
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    let built: Result<RecordBatch, ArrowError> = RecordBatch::try_from_iter_with_nullable(columns);
    built.map_err(|error| Failure::run(format!("build a table of jobs: {error}")))
}

fn texts(jobs: &[CatalogJob], of: &dyn Fn(&CatalogJob) -> Option<String>) -> ArrayRef {
    Arc::new(StringArray::from_iter(jobs.iter().map(of)))
}

fn numbers(jobs: &[CatalogJob], of: fn(&CatalogJob) -> u64) -> ArrayRef {
    Arc::new(UInt64Array::from_iter_values(jobs.iter().map(of)))
}

fn submitted(jobs: &[CatalogJob]) -> ArrayRef {
    let times = jobs.iter().map(|job| job.submitted_ms);
    let times = times.map(|time| time.map(|ms| ms as i64));
    let times = TimestampMillisecondArray::from_iter(times);
    Arc::new(times.with_timezone("UTC"))
}

fn json(value: &impl Serialize) -> Option<String> {
    canonical::to_string(value).ok()
}

/// Returns the name of a choice, as specifications spell it.
fn name(choice: &impl Serialize) -> Option<String> {
    json(choice).map(|name| name.trim_matches('"').to_owned())
}

/// Returns the value of the partition `key` in the path of the job's table. It is taken from the
/// path so that it equals the slots' partition column and the two tables can be joined.
fn partition(job: &CatalogJob, key: &str) -> Option<String> {
    let table = layout::table(&job.spec);
    let parts = table.split('/');
    let mut values = parts.filter_map(|part| part.strip_prefix(key)?.strip_prefix('='));
    values.next().map(str::to_owned)
}
