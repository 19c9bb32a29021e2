//! Checks a specification against the registries and builds everything it names.

use serde_json::Value;
use whence_schemas::{AttributionSpec, FunctionSpec, GenerationSpec};

use crate::Error;
use crate::aggregate::{Defaults, Pipeline, Reduction};
use crate::generate::Settings;
use crate::methods::{self, Method, Requirements};
use crate::sampler::SamplerSource;
use crate::step_functions::{self, StepFunction};

/// Most step scores of one job. Every file of the table has a column for each of them, with its own
/// pages and statistics, and every file of the job repeats their names.
const MOST_STEP_SCORES: usize = 1000;

/// Checks everything of `spec` that can be checked without a model.
pub fn check(spec: &AttributionSpec) -> Result<(), Error> {
    Settings::new(&spec.generation, &GenerationSpec::default(), &[])?;
    BuiltSpecification::build(spec).map(|_| ())
}

/// Returns the names of the aggregators that reduce the scores of `method` to one per token; empty
/// if the method already returns one score per token.
pub fn default_aggregators(method: &FunctionSpec) -> Result<&'static [&'static str], Error> {
    Ok(methods::build(&method.name, &method.params)?.default_aggregators())
}

/// Returns the name of every score that an attribution by `spec` has per step, and how its values
/// are merged when tokens are merged. The scores may be those of another program, whose methods and
/// functions are not known here: such scores are merged by `absmax`, as in Inseq.
pub fn step_score_merges(spec: &AttributionSpec) -> Vec<(String, Reduction)> {
    let compat = spec.compat;
    let asked = spec.step_scores.iter().map(|function| {
        let built = step_functions::build(&function.name, &function.params);
        let merged_by = built.map_or(Reduction::AbsMax, |built| built.merged_by(compat));
        (function.label().to_owned(), merged_by)
    });
    let method = methods::build(&spec.method.name, &spec.method.params).ok();
    let known = |name: &str| {
        let own = method.as_ref()?.requirements(compat).step_scores;
        own.iter().find(|score| score.name == name)
    };
    let own = spec.method_scores.iter().map(|name| {
        let merged_by = known(name).map_or(Reduction::AbsMax, |score| score.merged_by);
        (name.clone(), merged_by)
    });
    asked.chain(own).collect()
}

/// Returns the defaults for aggregators that run on attributions by `spec`, which may be those of
/// another program.
pub fn aggregation_defaults(spec: &AttributionSpec) -> Defaults {
    let own = default_aggregators(&spec.method).unwrap_or_default();
    Defaults {
        reduction: own.first().map_or(Reduction::Mean, |name| named(name)),
        normalize: spec.normalize,
        compat: spec.compat,
    }
}

/// Pins everything in a job that could change between workers. Folders that `spec` names, except
/// the model's, are pinned by a digest of their contents. The names of the scores that the method
/// records per step are pinned too, so that every worker gives the table the same columns.
///
/// Fails if a folder does not exist, or the method cannot use its parameters.
pub fn pin(spec: &mut AttributionSpec) -> Result<(), Error> {
    let method = methods::build(&spec.method.name, &spec.method.params)?;
    let requirements = method.requirements(spec.compat);
    spec.method_scores = names_of(&requirements);
    if let Some(sampler) = requirements.sampler {
        let pinned = SamplerSource::Pinned(sampler.pinned()?);
        set_sampler(spec, &pinned);
    }
    Ok(())
}

/// Returns the masked language model that the method of `spec` takes its proposals from, if there
/// is one.
///
/// Fails if the method cannot use its parameters.
pub fn sampler_of(spec: &AttributionSpec) -> Result<Option<SamplerSource>, Error> {
    let method = methods::build(&spec.method.name, &spec.method.params)?;
    Ok(method.requirements(spec.compat).sampler.cloned())
}

/// Makes the method of `spec` take its proposals from `sampler`.
pub fn set_sampler(spec: &mut AttributionSpec, sampler: &SamplerSource) {
    let value = serde_json::to_value(sampler).expect("a path and a digest are JSON");
    let key = SamplerSource::PARAMETER.to_owned();
    spec.method.params.insert(key, value);
}

/// Fails if `spec` names a folder without the digest of its contents, or lists other scores than
/// its method records.
pub fn check_pinned(spec: &AttributionSpec) -> Result<(), Error> {
    let method = methods::build(&spec.method.name, &spec.method.params)?;
    let requirements = method.requirements(spec.compat);
    let refused = |reason| Err(Error::Specification { reason });
    if let Some(SamplerSource::Folder(path)) = requirements.sampler {
        return refused(format!(
            "a job must say what the folder `{path}` holds: give `{}` as its `path` and `digest`, as `whence submit` does",
            SamplerSource::PARAMETER
        ));
    }
    let recorded = names_of(&requirements);
    if spec.method_scores != recorded {
        return refused(format!(
            "`{}` records the scores {recorded:?} of each step, and `method_scores` says {:?}; submit the job with `whence submit`, which fills it in",
            spec.method.name, spec.method_scores
        ));
    }
    Ok(())
}

/// Returns the names of the scores that a method records per step.
pub(crate) fn names_of(requirements: &Requirements<'_>) -> Vec<String> {
    let scores = requirements.step_scores.iter();
    scores.map(|score| score.name.to_owned()).collect()
}

/// Everything a specification names, built.
pub(crate) struct BuiltSpecification {
    pub(crate) method: Box<dyn Method>,
    pub(crate) function: Box<dyn StepFunction>,
    pub(crate) step_scores: Vec<(String, Box<dyn StepFunction>)>,
    pub(crate) pipeline: Pipeline,
}

impl BuiltSpecification {
    pub(crate) fn build(spec: &AttributionSpec) -> Result<Self, Error> {
        check_number(spec.step_scores.len())?;
        let build =
            |function: &FunctionSpec| step_functions::build(&function.name, &function.params);
        let method = methods::build(&spec.method.name, &spec.method.params)?;
        let own = method.default_aggregators();
        let defaults = Defaults {
            reduction: own.first().map_or(Reduction::Mean, |name| named(name)),
            normalize: spec.normalize,
            compat: spec.compat,
        };
        let pipeline = match &spec.aggregators {
            None => {
                let own: Vec<_> = own.iter().copied().map(FunctionSpec::named).collect();
                Pipeline::build(&own, defaults)?
            }
            Some(aggregators) => Pipeline::build(aggregators, defaults)?,
        };
        pipeline.check_for_job()?;
        let step_scores = spec
            .step_scores
            .iter()
            .map(|f| Ok((f.label().to_owned(), build(f)?)));
        let step_scores: Vec<_> = step_scores.collect::<Result<_, Error>>()?;
        let method_scores = names_of(&method.requirements(spec.compat));
        check_labels(&step_scores, &method_scores)?;
        let function = build(&spec.attributed_fn)?;
        check_attributed(spec, method.as_ref(), function.as_ref())?;
        Ok(Self {
            method,
            function,
            step_scores,
            pipeline,
        })
    }
}

/// Returns the reduction called `name` in a method's default aggregators.
fn named(name: &str) -> Reduction {
    serde_json::from_value(Value::from(name)).expect("a method aggregates by a function")
}

/// Fails if `number` step scores are more than a job may record.
pub(crate) fn check_number(number: usize) -> Result<(), Error> {
    if number <= MOST_STEP_SCORES {
        return Ok(());
    }
    Err(Error::Specification {
        reason: format!(
            "{number} step scores are more than {MOST_STEP_SCORES}, the most that one job records, because each is a column in every file of the table; record the others in further jobs, and put them together with `whence aggregate --join`"
        ),
    })
}

/// Fails if two scores of a step would have the same column name: two step scores, or a step score
/// and one of `method_scores`, those the method itself records.
pub(crate) fn check_labels(
    step_scores: &[(String, Box<dyn StepFunction>)],
    method_scores: &[String],
) -> Result<(), Error> {
    let refused = |reason| Err(Error::Specification { reason });
    for (index, (label, _)) in step_scores.iter().enumerate() {
        if step_scores[..index].iter().any(|(other, _)| other == label) {
            return refused(format!(
                "two step scores are called `{label}`; give one of them a `label`"
            ));
        }
        if method_scores.contains(label) {
            return refused(format!(
                "the method records a score called `{label}` itself; give the step score another `label`"
            ));
        }
    }
    Ok(())
}

/// Fails if `method` cannot attribute `function`.
pub(crate) fn check_attributed(
    spec: &AttributionSpec,
    method: &dyn Method,
    function: &dyn StepFunction,
) -> Result<(), Error> {
    let name = &spec.attributed_fn.name;
    let requirements = method.requirements(spec.compat);
    if requirements.single_pass && function.dropout_passes() > 0 {
        let method = &spec.method.name;
        return Err(Error::Specification {
            reason: format!(
                "`{method}` looks into one pass of the model, and `{name}` is made of several with dropout; attribute it with a method that does not, such as `integrated_gradients` or `occlusion`, or record it as a step score"
            ),
        });
    }
    if requirements.gradient && !function.is_differentiable() {
        let method = &spec.method.name;
        return Err(Error::Specification {
            reason: format!(
                "`{name}` has no gradient for `{method}` to attribute; record it as a step score, or attribute it with a method that needs none, such as `occlusion`"
            ),
        });
    }
    if function.needs_own_contrast() && !spec.contrast.contrast_force_inputs {
        return Err(Error::Specification {
            reason: format!("attributing `{name}` needs `contrast_force_inputs`"),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a specification with `number` step scores under labels of their own.
    fn with_scores(number: usize) -> AttributionSpec {
        let score = |index: usize| FunctionSpec {
            label: Some(format!("score {index}")),
            ..FunctionSpec::named("entropy")
        };
        AttributionSpec {
            step_scores: (0..number).map(score).collect(),
            ..AttributionSpec::of_method("saliency")
        }
    }

    #[test]
    fn more_step_scores_than_a_table_may_have_are_refused_with_the_limit() {
        check(&with_scores(MOST_STEP_SCORES)).unwrap();
        let refused = check(&with_scores(10_000)).unwrap_err();
        assert_eq!(refused.code(), "specification");
        let message = refused.to_string();
        assert!(
            message.starts_with("10000 step scores are more than 1000"),
            "{message}"
        );
        assert!(message.contains("each is a column"), "{message}");
    }

    #[test]
    fn a_step_score_that_is_named_twice_is_refused() {
        let mut spec = with_scores(2);
        spec.step_scores[1].label = spec.step_scores[0].label.clone();
        let message = check(&spec).unwrap_err().to_string();
        assert!(
            message.contains("two step scores are called `score 0`"),
            "{message}"
        );
    }
}
