//! A specification, checked against the registries: everything it names, built.

use serde_json::Value;
use whence_schemas::{AttributionSpec, FunctionSpec, GenerationSpec};

use crate::Error;
use crate::aggregate::{Defaults, Pipeline, Reduction};
use crate::generate::Settings;
use crate::methods::{self, Method};
use crate::sampler::SamplerSource;
use crate::step_functions::{self, StepFunction};

/// Checks everything of `spec` that can be checked without a model.
pub fn check(spec: &AttributionSpec) -> Result<(), Error> {
    Settings::new(&spec.generation, &GenerationSpec::default(), &[])?;
    BuiltSpecification::build(spec).map(|_| ())
}

/// Returns the names of the aggregators that make one score per token of what `method` computes;
/// none where it has one to begin with.
pub fn default_aggregators(method: &FunctionSpec) -> Result<&'static [&'static str], Error> {
    Ok(methods::build(&method.name, &method.params)?.default_aggregators())
}

/// Pins the folders that `spec` names, the model's left out, by what their files hold: a job must
/// mean the same wherever and whenever it runs.
///
/// Fails if there is no such folder.
pub fn pin(spec: &mut AttributionSpec) -> Result<(), Error> {
    let method = methods::build(&spec.method.name, &spec.method.params)?;
    if let Some(sampler) = method.sampler() {
        let pinned = serde_json::to_value(sampler.pinned()?).expect("a path and a digest are JSON");
        let key = SamplerSource::PARAMETER.to_owned();
        spec.method.params.insert(key, pinned);
    }
    Ok(())
}

/// Fails if `spec` names a folder that is not pinned by what its files hold.
pub fn check_pinned(spec: &AttributionSpec) -> Result<(), Error> {
    let method = methods::build(&spec.method.name, &spec.method.params)?;
    match method.sampler() {
        Some(SamplerSource::Folder(path)) => Err(Error::Specification {
            reason: format!(
                "a job must say what the folder `{path}` holds: give `{}` as its `path` and `digest`, as `whence submit` does",
                SamplerSource::PARAMETER
            ),
        }),
        _ => Ok(()),
    }
}

/// What a specification names, built.
pub(crate) struct BuiltSpecification {
    pub(crate) method: Box<dyn Method>,
    pub(crate) function: Box<dyn StepFunction>,
    pub(crate) step_scores: Vec<(String, Box<dyn StepFunction>)>,
    pub(crate) pipeline: Pipeline,
}

impl BuiltSpecification {
    pub(crate) fn build(spec: &AttributionSpec) -> Result<Self, Error> {
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
        let step_scores = spec
            .step_scores
            .iter()
            .map(|f| Ok((f.label().to_owned(), build(f)?)));
        let step_scores: Vec<_> = step_scores.collect::<Result<_, Error>>()?;
        check_labels(&step_scores)?;
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

/// Returns the reduction called `name`, as a method names it.
fn named(name: &str) -> Reduction {
    serde_json::from_value(Value::from(name)).expect("a method aggregates by a function")
}

/// Fails if two step scores would have the same column.
pub(crate) fn check_labels(step_scores: &[(String, Box<dyn StepFunction>)]) -> Result<(), Error> {
    let is_twice = |(index, (label, _)): &(usize, &(String, _))| {
        step_scores[..*index]
            .iter()
            .any(|(other, _)| other == label)
    };
    match step_scores.iter().enumerate().find(is_twice) {
        None => Ok(()),
        Some((_, (label, _))) => Err(Error::Specification {
            reason: format!("two step scores are called `{label}`; give one of them a `label`"),
        }),
    }
}

/// Fails if `method` cannot attribute `function`.
pub(crate) fn check_attributed(
    spec: &AttributionSpec,
    method: &dyn Method,
    function: &dyn StepFunction,
) -> Result<(), Error> {
    let name = &spec.attributed_fn.name;
    if function.dropout_passes() > 0 && !method.attributes_dropout() {
        let method = &spec.method.name;
        return Err(Error::Specification {
            reason: format!(
                "`{method}` looks into one pass of the model, and `{name}` is made of several with dropout; attribute it with a method that does not, such as `integrated_gradients` or `occlusion`, or record it as a step score"
            ),
        });
    }
    if method.needs_gradient() && !function.is_differentiable() {
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
