//! What to compute for each example, and what is refused before a model is loaded.

use whence_schemas::{
    Alignments, AttributionSpec, ContextOptions, ContrastSpec, OutputContextStrategy,
};

use super::texts::{ContextExample, GivenContexts, Templates};
use crate::step_functions::{self, STEP_FUNCTIONS};
use crate::{Error, specification};

/// What to compute for each example.
#[derive(Debug, Clone, PartialEq)]
pub struct ContextSpec {
    /// How context-sensitive tokens are attributed, and how missing outputs are generated.
    pub attribution: AttributionSpec,
    /// How context-sensitive tokens and their cues are found.
    pub options: ContextOptions,
    /// The templates of the options, read.
    pub templates: Templates,
    /// Whether the user is asked what each context-sensitive token is contrasted with.
    pub asks_next_tokens: bool,
}

impl ContextSpec {
    /// Reads the templates of `options` for examples that have the contexts `given`. The user is not
    /// asked anything.
    ///
    /// Fails if a template cannot be filled.
    pub fn new(
        attribution: AttributionSpec,
        options: ContextOptions,
        given: GivenContexts,
    ) -> Result<Self, Error> {
        Ok(Self {
            attribution,
            templates: Templates::new(&options.templates, given)?,
            options,
            asks_next_tokens: false,
        })
    }

    /// Returns the specification that records the metric of every output token.
    pub(super) fn comparison(&self, has_encoder: bool) -> AttributionSpec {
        let own = &self.attribution;
        AttributionSpec {
            step_scores: vec![self.options.metric.clone()],
            attribute_target: has_encoder,
            compat: own.compat,
            generation: own.generation.clone(),
            src_lang: own.src_lang.clone(),
            tgt_lang: own.tgt_lang.clone(),
            ..AttributionSpec::of_method("dummy")
        }
    }

    /// Returns the specification that attributes context-sensitive tokens.
    pub(super) fn cues(&self, has_encoder: bool) -> AttributionSpec {
        AttributionSpec {
            attribute_target: has_encoder && self.templates.has_output_context(),
            ..self.attribution.clone()
        }
    }

    /// Returns whether the attributed function compares with what would follow without context.
    fn is_contrastive(&self) -> bool {
        let function = &self.attribution.attributed_fn;
        let built = step_functions::build(&function.name, &function.params);
        built.is_ok_and(|function| function.is_contrastive())
    }
}

/// Fails if `example` cannot be analyzed as `spec` says, whatever the model is.
pub fn check_context_example(spec: &ContextSpec, example: &ContextExample) -> Result<(), Error> {
    check_context(spec)?;
    check_example(spec, example)
}

/// Fails if no example can be analyzed as `spec` says, whatever the model is.
pub fn check_context(spec: &ContextSpec) -> Result<(), Error> {
    let attribution = &spec.attribution;
    // Functions that need the prediction without context get it.
    let mut checked = attribution.clone();
    checked.contrast.contrast_force_inputs = true;
    specification::check(&checked)?;
    let metric = &spec.options.metric;
    let built = step_functions::build(&metric.name, &metric.params)?;
    if !built.is_contrastive() {
        let names = STEP_FUNCTIONS.iter().map(|entry| entry.name);
        let names = names.filter(|name| step_functions::is_contrastive(name));
        return refused(format!(
            "--context-sensitivity-metric: `{}` does not compare with another text; take one of {}",
            metric.label(),
            names.collect::<Vec<_>>().join(", ")
        ));
    }
    check_contrast(&attribution.contrast)?;
    if attribution.generation.generate_from_target_prefix {
        return refused(
            "--generation-kwargs: leave out `generate_from_target_prefix`, and give the beginning of \
             the output as its context"
                .to_owned(),
        );
    }
    if spec.templates.has_no_context() {
        return refused(
            "there is no context; give an input context or an output context".to_owned(),
        );
    }
    if spec.asks_next_tokens && !spec.is_contrastive() {
        return refused(unused(
            "--prompt-user-for-contextless-output-next-tokens",
            spec,
        ));
    }
    Ok(())
}

/// Fails if the user gives a contrast, because the texts without context are one.
fn check_contrast(contrast: &ContrastSpec) -> Result<(), Error> {
    if contrast.contrast_sources.is_some()
        || contrast.contrast_targets.is_some()
        || contrast.contrast_targets_alignments != Alignments::default()
    {
        return refused(
            "--attribution-kwargs: tokens are contrasted with the texts without context; leave out \
             `contrast_sources`, `contrast_targets` and `contrast_targets_alignments`, or give \
             --contextless-output-next-tokens"
                .to_owned(),
        );
    }
    Ok(())
}

pub(super) fn check_example(spec: &ContextSpec, example: &ContextExample) -> Result<(), Error> {
    let wrong = |reason: String| Err(Error::ContextTexts { reason });
    let texts = [
        ("input text", Some(&example.input_current)),
        ("input context", example.input_context.as_ref()),
        ("output text", example.output_current.as_ref()),
        ("output context", example.output_context.as_ref()),
    ];
    for (name, text) in texts {
        if text.is_some_and(|text| text.trim().is_empty()) {
            return wrong(format!("the {name} is empty"));
        }
    }
    let lacks_context = spec.templates.has_output_context() && example.output_context.is_none();
    if lacks_context && spec.options.strategy == OutputContextStrategy::Pre {
        return wrong(
            "--handle-output-context-strategy is `pre`, and --output-template has a `{context}`: \
             give an output context"
                .to_owned(),
        );
    }
    if !example.next_tokens.is_empty() {
        const FLAG: &str = "--contextless-output-next-tokens";
        if spec.asks_next_tokens {
            return wrong(format!(
                "{FLAG} answers what --prompt-user-for-contextless-output-next-tokens asks; leave out one of them"
            ));
        }
        if !spec.is_contrastive() {
            return wrong(unused(FLAG, spec));
        }
    }
    Ok(())
}

fn unused(flag: &str, spec: &ContextSpec) -> String {
    format!(
        "{flag} is for contrastive functions, and `{}` is none; add --attributed-fn \
         contrast_prob_diff, or leave it out",
        spec.attribution.attributed_fn.label()
    )
}

fn refused<T>(reason: String) -> Result<T, Error> {
    Err(Error::Specification { reason })
}
