//! What to compute for each example, and what is refused before a model is loaded.

use whence_schemas::{Alignments, AttributionSpec, ContrastSpec, FunctionSpec};

use super::selection::Selection;
use super::texts::{ContextExample, Templates};
use crate::step_functions::{self, STEP_FUNCTIONS};
use crate::{Error, specification};

/// What to compute for each example.
#[derive(Debug, Clone, PartialEq)]
pub struct ContextSpec {
    /// How context-sensitive tokens are attributed, and how missing outputs are generated.
    pub attribution: AttributionSpec,
    /// The contrastive step function that says how much a token depends on the context.
    pub metric: FunctionSpec,
    /// Where contexts and current texts go.
    pub templates: Templates,
    /// What a decoder-only model reads between input and output.
    pub separator: String,
    /// How a generated output is split into its context and the current text.
    pub strategy: OutputContextStrategy,
    /// Special tokens that stay in generated outputs, and count as tokens of the texts.
    pub special_tokens_to_keep: Vec<String>,
    /// Which tokens count as context-sensitive.
    pub sensitivity: Selection,
    /// Whether the user is asked what each of them is contrasted with.
    pub asks_next_tokens: bool,
}

/// How a generated output is split into its context and the current text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputContextStrategy {
    /// The user confirms or corrects a guess.
    Manual,
    /// The guess is taken; without one the example fails.
    Auto,
    /// Not at all: the context must be given.
    Pre,
}

impl ContextSpec {
    /// Returns the specification that records the metric of every output token.
    pub(super) fn comparison(&self, has_encoder: bool) -> AttributionSpec {
        let own = &self.attribution;
        AttributionSpec {
            step_scores: vec![self.metric.clone()],
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
pub fn check_context(spec: &ContextSpec, example: &ContextExample) -> Result<(), Error> {
    check_spec(spec)?;
    check_example(spec, example)
}

pub(super) fn check_spec(spec: &ContextSpec) -> Result<(), Error> {
    let attribution = &spec.attribution;
    // Functions that need the prediction without context get it.
    let mut checked = attribution.clone();
    checked.contrast.contrast_force_inputs = true;
    specification::check(&checked)?;
    let metric = step_functions::build(&spec.metric.name, &spec.metric.params)?;
    if !metric.is_contrastive() {
        let names = STEP_FUNCTIONS.iter().map(|entry| entry.name);
        let names = names.filter(|name| step_functions::is_contrastive(name));
        return refused(format!(
            "--context-sensitivity-metric: `{}` does not compare with another text; take one of {}",
            spec.metric.label(),
            names.collect::<Vec<_>>().join(", ")
        ));
    }
    check_contrast(&attribution.contrast)?;
    if attribution.generation.generate_from_target_prefix {
        return refused(
            "--generation-kwargs: leave out `generate_from_target_prefix`, and give the beginning of \
             the output as --output-context-text"
                .to_owned(),
        );
    }
    if spec.templates.has_no_context() {
        return refused(
            "there is no context; give --input-context-text or --output-context-text".to_owned(),
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
    if lacks_context && spec.strategy == OutputContextStrategy::Pre {
        return wrong(
            "--handle-output-context-strategy is `pre`, and --output-template has a `{context}`: \
             give --output-context-text"
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
