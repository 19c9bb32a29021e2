//! Turns the flags of `attribute-context` and `attribute-context-dataset` into what to compute.

use whence_engine::context::{self, ContextExample, ContextSpec, GivenContexts};
use whence_schemas::{
    AttributionSpec, ContextOptions, ContextTemplates, OutputContextStrategy, Selection,
};

use super::attribution::described;
use super::functions::function;
use crate::Failure;
use crate::args::{
    AttributeContext, ContextMethod, ContextSelection, ModelOptions, TemplateOptions, Weight,
};

/// Returns what to compute for a single text, and the texts.
///
/// Fails if the options cannot be combined, or if the texts cannot be analyzed as they say.
pub(crate) fn context(
    arguments: &AttributeContext,
) -> Result<(ContextSpec, ContextExample), Failure> {
    let texts = &arguments.texts;
    let given = GivenContexts {
        input: texts.input_context_text.is_some(),
        output: texts.output_context_text.is_some(),
    };
    let attribution = described(&arguments.method.attribution(), &arguments.model)?;
    let templates = &arguments.templates;
    let options = options(&arguments.method, templates, &arguments.selection)?;
    let mut spec = ContextSpec::new(attribution, options, given)?;
    spec.asks_next_tokens = texts.prompt_user_for_contextless_output_next_tokens;
    let example = ContextExample {
        id: 0,
        input_current: texts.input_current_text.clone(),
        input_context: texts.input_context_text.clone(),
        output_current: texts.output_current_text.clone(),
        output_context: texts.output_context_text.clone(),
        next_tokens: texts.contextless_output_next_tokens.clone(),
    };
    context::check_context_example(&spec, &example)?;
    Ok((spec, example))
}

/// The flags that say what a job about contexts computes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ContextFlags<'a> {
    pub(crate) model: &'a ModelOptions,
    pub(crate) method: &'a ContextMethod,
    pub(crate) templates: &'a TemplateOptions,
    pub(crate) selection: &'a ContextSelection,
    /// Which contexts its rows have.
    pub(crate) given: GivenContexts,
}

/// Returns what to compute for every row of a job.
///
/// Fails if the options cannot be combined, or if somebody would have to be asked about each row.
pub(crate) fn context_job(
    flags: ContextFlags<'_>,
) -> Result<(AttributionSpec, ContextOptions), Failure> {
    let given = flags.given;
    let attribution = described(&flags.method.attribution(), flags.model)?;
    let mut options = options(flags.method, flags.templates, flags.selection)?;
    let spec = ContextSpec::new(attribution, options.clone(), given)?;
    if options.strategy == OutputContextStrategy::Manual {
        if spec.templates.has_output_context() && !given.output {
            return Err(Failure::request(
                "the output template has a `{context}`, and nobody can be asked for each row which \
                 part of its generated output that is",
            )
            .hint("give the output context, or --handle-output-context-strategy auto"));
        }
        // No output has to be split. With one name for that, the same request is the same job.
        options.strategy = OutputContextStrategy::Pre;
    }
    context::check_context(&spec)?;
    Ok((spec.attribution, options))
}

fn options(
    method: &ContextMethod,
    templates: &TemplateOptions,
    selection: &ContextSelection,
) -> Result<ContextOptions, Failure> {
    Ok(ContextOptions {
        metric: function(&method.context_sensitivity_metric)?,
        templates: ContextTemplates {
            input: templates.input_template.clone(),
            output: templates.output_template.clone(),
            contextless_input: templates.contextless_input_current_text.clone(),
            contextless_output: templates.contextless_output_current_text.clone(),
        },
        separator: templates.decoder_input_output_separator.clone(),
        strategy: templates.handle_output_context_strategy.into(),
        special_tokens_to_keep: templates.special_tokens_to_keep.clone(),
        sensitivity: chosen(
            selection.context_sensitivity_std_threshold,
            selection.context_sensitivity_topk,
        ),
        cues: chosen(
            selection.attribution_std_threshold,
            selection.attribution_topk,
        ),
    })
}

/// Returns which scores stand out. As in Inseq, a count of 0 means no limit.
fn chosen(Weight(std_weight): Weight, top_k: Option<usize>) -> Selection {
    Selection {
        std_weight,
        top_k: top_k.filter(|&count| count > 0),
    }
}
