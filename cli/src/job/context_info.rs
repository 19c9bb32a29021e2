//! The options of `attribute-context` as Inseq saves them beside the result.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Map, Value};
use whence_engine::context::ContextAttribution;

use crate::args::{AttributeContext, ContextOutput};

/// Every option, under Inseq's name, and in the order in which Inseq writes them.
#[derive(Serialize)]
pub(crate) struct ContextInfo<'a> {
    #[serde(flatten)]
    output: DisplayInfo,
    #[serde(flatten)]
    method: MethodInfo<'a>,
    #[serde(flatten)]
    selection: SelectionInfo<'a>,
    #[serde(flatten)]
    texts: TextInfo<'a>,
}

#[derive(Serialize)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of Inseq")]
struct DisplayInfo {
    show_intermediate_outputs: bool,
    save_path: Option<String>,
    add_output_info: bool,
    viz_path: Option<String>,
    show_viz: bool,
}

#[derive(Serialize)]
struct MethodInfo<'a> {
    model_name_or_path: &'a str,
    attribution_method: &'a str,
    device: String,
    attributed_fn: Option<&'a str>,
    attribution_selectors: Option<&'a [i64]>,
    attribution_aggregators: Option<&'a [String]>,
    normalize_attributions: bool,
    rescale_attributions: bool,
    model_kwargs: &'a Map<String, Value>,
    tokenizer_kwargs: &'a Map<String, Value>,
    generation_kwargs: &'a Map<String, Value>,
    attribution_kwargs: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct SelectionInfo<'a> {
    context_sensitivity_metric: &'a str,
    handle_output_context_strategy: &'static str,
    contextless_output_next_tokens: &'a [String],
    prompt_user_for_contextless_output_next_tokens: bool,
    special_tokens_to_keep: &'a [String],
    decoder_input_output_separator: &'a str,
    context_sensitivity_std_threshold: Option<f64>,
    context_sensitivity_topk: Option<usize>,
    attribution_std_threshold: Option<f64>,
    attribution_topk: Option<usize>,
}

/// Templates have their defaults, and outputs are those that were analyzed, as in Inseq.
#[derive(Serialize)]
struct TextInfo<'a> {
    input_current_text: &'a str,
    input_context_text: Option<&'a str>,
    input_template: &'a str,
    output_context_text: Option<&'a str>,
    output_current_text: &'a str,
    output_template: &'a str,
    contextless_input_current_text: &'a str,
    contextless_output_current_text: &'a str,
    has_input_context: bool,
    has_output_context: bool,
}

const BOTH: &str = "{context} {current}";
const ALONE: &str = "{current}";

impl<'a> ContextInfo<'a> {
    /// Returns the options that `attribution` was computed with.
    pub(crate) fn new(
        arguments: &'a AttributeContext,
        attribution: &'a ContextAttribution,
    ) -> Self {
        Self {
            output: DisplayInfo::new(&arguments.output),
            method: MethodInfo::new(arguments),
            selection: SelectionInfo::new(arguments),
            texts: TextInfo::new(arguments, attribution),
        }
    }
}

impl DisplayInfo {
    fn new(output: &ContextOutput) -> Self {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        Self {
            show_intermediate_outputs: output.show_intermediate_outputs,
            save_path: path(&output.save_path),
            add_output_info: output.saves_info(),
            viz_path: path(&output.viz_path),
            show_viz: output.shows(),
        }
    }
}

impl<'a> MethodInfo<'a> {
    fn new(arguments: &'a AttributeContext) -> Self {
        let (model, method) = (&arguments.model, &arguments.method);
        let selectors = method.attribution_selectors.as_slice();
        let first = arguments.on.device.first();
        Self {
            model_name_or_path: &model.model,
            attribution_method: &method.attribution_method,
            device: first.map_or_else(String::new, ToString::to_string),
            attributed_fn: method.attributed_fn.as_deref(),
            attribution_selectors: Some(selectors).filter(|selectors| !selectors.is_empty()),
            attribution_aggregators: method.attribution_aggregators.as_deref(),
            normalize_attributions: method.normalize_attributions,
            rescale_attributions: method.rescale_attributions,
            model_kwargs: &method.model_kwargs,
            tokenizer_kwargs: &method.tokenizer_kwargs,
            generation_kwargs: &method.generation_kwargs,
            attribution_kwargs: &method.attribution_kwargs,
        }
    }
}

impl<'a> SelectionInfo<'a> {
    fn new(arguments: &'a AttributeContext) -> Self {
        let AttributeContext {
            texts,
            templates,
            method,
            selection,
            ..
        } = arguments;
        Self {
            context_sensitivity_metric: &method.context_sensitivity_metric,
            handle_output_context_strategy: templates.handle_output_context_strategy.as_str(),
            contextless_output_next_tokens: &texts.contextless_output_next_tokens,
            prompt_user_for_contextless_output_next_tokens: texts
                .prompt_user_for_contextless_output_next_tokens,
            special_tokens_to_keep: &templates.special_tokens_to_keep,
            decoder_input_output_separator: &templates.decoder_input_output_separator,
            context_sensitivity_std_threshold: selection.context_sensitivity_std_threshold.0,
            context_sensitivity_topk: selection.context_sensitivity_topk,
            attribution_std_threshold: selection.attribution_std_threshold.0,
            attribution_topk: selection.attribution_topk,
        }
    }
}

impl<'a> TextInfo<'a> {
    fn new(arguments: &'a AttributeContext, attribution: &'a ContextAttribution) -> Self {
        let AttributeContext {
            texts, templates, ..
        } = arguments;
        let output_context = attribution.output_context.as_ref();
        let has_input_context = attribution.input_context.is_some();
        let template = |given: &'a Option<String>, has_context: bool| {
            let usual = if has_context { BOTH } else { ALONE };
            given.as_deref().unwrap_or(usual)
        };
        Self {
            input_current_text: &texts.input_current_text,
            input_context_text: texts.input_context_text.as_deref(),
            input_template: template(&templates.input_template, has_input_context),
            output_context_text: output_context.map(|own| own.text.as_str()),
            output_current_text: &attribution.output_current.text,
            output_template: template(&templates.output_template, output_context.is_some()),
            contextless_input_current_text: template(
                &templates.contextless_input_current_text,
                false,
            ),
            contextless_output_current_text: template(
                &templates.contextless_output_current_text,
                false,
            ),
            has_input_context,
            has_output_context: output_context.is_some(),
        }
    }
}
