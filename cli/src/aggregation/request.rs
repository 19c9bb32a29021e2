//! What `whence aggregate` is asked for: the inputs, the stages, and the job that they make.

use whence_engine::aggregate::Pipeline;
use whence_schemas::job::{Dtype, ModelSource, NUMERICS_VERSION, default_shard_tokens};
use whence_schemas::{
    AttributionSpec, Compat, DatasetLocation, DatasetOrigin, DatasetSource, Derivation,
    DerivedInput, FormatName, FunctionSpec, JobSpec, WorkerRequirements,
};

use super::join::Join;
use super::stages::Stages;
use crate::Failure;
use crate::args::Aggregate;
use crate::job;
use crate::results::Source;

/// A checked request.
#[derive(Debug)]
pub(crate) struct Request {
    /// The runs whose examples are aggregated, one after the other.
    pub(crate) inputs: Vec<Source>,
    /// The run whose step scores are added.
    pub(crate) joined: Option<Source>,
    /// The run that is compared with.
    pub(crate) partner: Option<Source>,
    /// The aggregators.
    pub(crate) aggregators: Vec<FunctionSpec>,
    /// What was computed for each example of the result.
    pub(crate) attribution: AttributionSpec,
    join: Option<Join>,
    compat: Compat,
}

impl Request {
    /// Opens the inputs that `arguments` name. Fails if they do not fit together, or if a stage is
    /// unknown.
    pub(crate) async fn read(arguments: &Aggregate) -> Result<Self, Failure> {
        let root = &arguments.storage.root;
        let mut aggregators = job::aggregators(&arguments.stages)?;
        let mut inputs = vec![opened(root, &arguments.input).await?];
        for name in &arguments.merge {
            inputs.push(opened(root, name).await?);
        }
        let first = &inputs[0];
        for other in &inputs[1..] {
            check_mergeable(first, other)?;
        }
        let mut attribution = first.attribution().clone();
        let (joined, join) = match &arguments.join {
            None => (None, None),
            Some(name) => {
                let source = opened(root, name).await?;
                let join = Join::of(&mut attribution, source.attribution())?;
                (Some(source), Some(join))
            }
        };
        if aggregators.is_empty() {
            aggregators = first.default_aggregators();
        }
        let partner = match &arguments.with {
            None => None,
            Some(name) => Some(opened(root, name).await?),
        };
        let request = Self {
            compat: arguments.compat.map_or(attribution.compat, Into::into),
            inputs,
            joined,
            partner,
            aggregators,
            attribution,
            join,
        };
        request.check_partner()?;
        Ok(request)
    }

    /// Fails unless there is a second run exactly if a stage compares with one, and the runs can be
    /// compared.
    fn check_partner(&self) -> Result<(), Failure> {
        let needs_partner = self.stages()?.pipeline.needs_partner();
        match (needs_partner, &self.partner) {
            (true, None) => Err(
                Failure::request("`pair` needs a second run to compare with")
                    .hint("whence aggregate JOB pair --with OTHER"),
            ),
            (false, Some(_)) => Err(Failure::request(
                "--with names a second run, and no stage compares with it",
            )
            .hint("add the stage `pair`")),
            (true, Some(partner))
                if partner.step_scores() != self.attribution.step_score_labels() =>
            {
                Err(Failure::request(format!(
                    "{} and {} record different step scores, so they cannot be compared",
                    self.inputs[0].name(),
                    partner.name()
                )))
            }
            _ => Ok(()),
        }
    }

    /// Returns the aggregators, ready to run.
    pub(crate) fn stages(&self) -> Result<Stages, Failure> {
        let with_rules = |spec: &AttributionSpec| AttributionSpec {
            compat: self.compat,
            ..spec.clone()
        };
        let spec = with_rules(&self.attribution);
        let defaults = whence_engine::aggregation_defaults(&spec);
        let partner = self.partner.as_ref().map(Source::attribution);
        let partner = partner.map(|partner| whence_engine::step_score_merges(&with_rules(partner)));
        Ok(Stages {
            pipeline: Pipeline::build(&self.aggregators, defaults)?,
            join: self.join,
            scores: whence_engine::step_score_merges(&spec),
            partner_scores: partner.unwrap_or_default(),
        })
    }

    /// Returns the specification of the job that the result is the table of.
    pub(crate) fn specification(&self) -> JobSpec {
        let derivation = Derivation {
            inputs: self.inputs.iter().map(identity).collect(),
            joined: self.joined.as_ref().map(identity),
            partner: self.partner.as_ref().map(identity),
            stages: self.aggregators.clone(),
            compat: self.compat,
        };
        let first = match &self.inputs[0] {
            Source::Job(results) => results.spec().clone(),
            Source::File(file) => {
                let outline = file.outline();
                specification_of_file(&file_name(file.path()), outline.model(), &outline.digest)
            }
        };
        JobSpec {
            attribution: self.attribution.clone(),
            derived_from: Some(derivation),
            ..first
        }
    }
}

/// Opens a source, which must be complete.
async fn opened(root: &str, name: &str) -> Result<Source, Failure> {
    let source = Source::open(root, name).await?;
    if let Source::Job(results) = &source
        && results.manifest().await?.is_none()
    {
        return Err(
            Failure::request(format!("job `{}` is not complete", results.id()))
                .hint("wait for it: whence watch JOB"),
        );
    }
    Ok(source)
}

/// Returns what names a source by its content.
fn identity(source: &Source) -> DerivedInput {
    match source {
        Source::Job(results) => DerivedInput::Job {
            id: results.id().clone(),
        },
        Source::File(file) => DerivedInput::File {
            name: file_name(file.path()),
            digest: file.outline().digest.clone(),
        },
    }
}

fn file_name(path: &std::path::Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Returns the specification of a run that only a file tells of.
fn specification_of_file(name: &str, model: &str, digest: &str) -> JobSpec {
    let location = DatasetLocation {
        data_files: vec![name.to_owned()],
        ..DatasetLocation::of(DatasetOrigin::Files)
    };
    JobSpec {
        model: ModelSource {
            path: model.to_owned(),
            // The file does not tell which weights they were.
            digest: String::new(),
            base: None,
        },
        dataset: DatasetSource::new(location, FormatName::Json, digest.to_owned(), "input_texts"),
        attribution: AttributionSpec::of_method(""),
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

/// Fails if the examples of two runs do not belong into one table: scores of different kinds, or
/// with different columns. The rules are Inseq's, and the columns.
fn check_mergeable(first: &Source, other: &Source) -> Result<(), Failure> {
    let (a, b) = (first.attribution(), other.attribution());
    let columns = |source: &Source| match source {
        Source::Job(results) => results.spec().dataset.columns.clone(),
        Source::File(_) => Vec::new(),
    };
    let model = |source: &Source| {
        let path = source.model().trim_end_matches('/').to_owned();
        path.rsplit('/').next().unwrap_or_default().to_owned()
    };
    let differing = [
        ("methods", a.method != b.method),
        ("models", model(first) != model(other)),
        ("attributed functions", a.attributed_fn != b.attributed_fn),
        (
            "step scores",
            a.step_score_labels() != b.step_score_labels(),
        ),
        ("attributed sides", a.attribute_target != b.attribute_target),
        (
            "baselines",
            a.include_eos_baseline != b.include_eos_baseline,
        ),
        ("dataset columns", columns(first) != columns(other)),
        (
            "default aggregators",
            first.default_aggregators() != other.default_aggregators(),
        ),
    ];
    match differing.into_iter().find(|(_, differ)| *differ) {
        None => Ok(()),
        Some((what, _)) => Err(Failure::request(format!(
            "{} and {} have different {what}, so their examples cannot be in one table",
            first.name(),
            other.name()
        ))),
    }
}
