//! Turns the flags of `attribute-context` into a [`ContextSpec`] and the texts of its example.

use whence_engine::context::{
    self, ContextExample, ContextSpec, GivenTemplates, Selection, Templates,
};

use super::attribution::described;
use super::functions::function;
use crate::Failure;
use crate::args::{AttributeContext, ContextTexts, Weight};

/// Returns what to compute, and the texts.
///
/// Fails if the options cannot be combined, or if the texts cannot be analyzed as they say.
pub(crate) fn context(
    arguments: &AttributeContext,
) -> Result<(ContextSpec, ContextExample), Failure> {
    let AttributeContext { texts, method, .. } = arguments;
    let selection = &arguments.selection;
    let spec = ContextSpec {
        attribution: described(&method.attribution(), &arguments.model)?,
        metric: function(&method.context_sensitivity_metric)?,
        templates: templates(texts)?,
        separator: texts.decoder_input_output_separator.clone(),
        strategy: texts.handle_output_context_strategy.into(),
        special_tokens_to_keep: texts.special_tokens_to_keep.clone(),
        sensitivity: chosen(
            selection.context_sensitivity_std_threshold,
            selection.context_sensitivity_topk,
        ),
        asks_next_tokens: method.prompt_user_for_contextless_output_next_tokens,
    };
    let example = ContextExample {
        id: 0,
        input_current: texts.input_current_text.clone(),
        input_context: texts.input_context_text.clone(),
        output_current: texts.output_current_text.clone(),
        output_context: texts.output_context_text.clone(),
        next_tokens: method.contextless_output_next_tokens.clone(),
    };
    context::check_context(&spec, &example)?;
    Ok((spec, example))
}

/// Returns which scores stand out. As in Inseq, a count of 0 means no limit.
pub(crate) fn chosen(Weight(std_weight): Weight, top_k: Option<usize>) -> Selection {
    Selection {
        std_weight,
        top_k: top_k.filter(|&count| count > 0),
    }
}

fn templates(texts: &ContextTexts) -> Result<Templates, Failure> {
    let given = GivenTemplates {
        input: texts.input_template.as_deref(),
        output: texts.output_template.as_deref(),
        contextless_input: texts.contextless_input_current_text.as_deref(),
        contextless_output: texts.contextless_output_current_text.as_deref(),
    };
    Ok(Templates::new(
        given,
        texts.input_context_text.is_some(),
        texts.output_context_text.is_some(),
    )?)
}
