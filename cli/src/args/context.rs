//! Flags of `attribute-context`, under Inseq's names.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, ValueEnum};
use whence_engine::context::OutputContextStrategy;
use whence_worker::memory;

use super::attribution::{AttributionOptions, CompatName, JsonObject, ModelOptions, json_object};

/// `whence attribute-context`.
#[derive(Debug, Args)]
pub struct AttributeContext {
    /// The model.
    #[command(flatten)]
    pub model: ModelOptions,
    /// The texts and their templates.
    #[command(flatten)]
    pub texts: ContextTexts,
    /// What to compute.
    #[command(flatten)]
    pub method: ContextMethod,
    /// What counts as context-sensitive, and as a cue.
    #[command(flatten)]
    pub selection: ContextSelection,
    /// Where results go.
    #[command(flatten)]
    pub output: ContextOutput,
}

/// The texts and their templates.
#[derive(Debug, Args)]
#[command(next_help_heading = "Texts")]
pub struct ContextTexts {
    /// Input text: the sentence to translate, or the prompt.
    #[arg(long, value_name = "TEXT")]
    pub input_current_text: String,
    /// Context of the input text, which may influence the output.
    #[arg(long, value_name = "TEXT")]
    pub input_context_text: Option<String>,
    /// Output to analyze. If absent, the model generates it.
    #[arg(long, value_name = "TEXT")]
    pub output_current_text: Option<String>,
    /// Context of the output: what a translation begins with, or the first part of a generation.
    #[arg(long, value_name = "TEXT")]
    pub output_context_text: Option<String>,
    /// Template of the input, with `{current}` and `{context}` where the texts go.
    ///
    /// Default: `{context} {current}` if there is an input context, otherwise `{current}`.
    #[arg(long, value_name = "TEMPLATE")]
    pub input_template: Option<String>,
    /// Template of the output, as `--input-template`.
    ///
    /// If it has `{context}` and there is no output context, the model generates both.
    #[arg(long, value_name = "TEMPLATE")]
    pub output_template: Option<String>,
    /// Template of the input without context, with `{current}`.
    #[arg(long, value_name = "TEMPLATE")]
    pub contextless_input_current_text: Option<String>,
    /// Template of the output without context, with `{current}`.
    #[arg(long, value_name = "TEMPLATE")]
    pub contextless_output_current_text: Option<String>,
    /// What decoder-only models read between input and output.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = " ",
        allow_hyphen_values = true
    )]
    pub decoder_input_output_separator: String,
    /// Special tokens that stay in generated outputs and are analyzed like others.
    #[arg(long, value_name = "TOKEN", num_args = 1..)]
    pub special_tokens_to_keep: Vec<String>,
    /// How a generated output is split into its context and the current text.
    #[arg(long, value_enum, default_value_t = StrategyName::Manual)]
    pub handle_output_context_strategy: StrategyName,
}

/// How a generated output is split, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StrategyName {
    /// You confirm or correct a guess on the terminal.
    Manual,
    /// By the template's separator, or else by punctuation.
    Auto,
    /// Not at all: --output-context-text must be given.
    Pre,
}

impl StrategyName {
    /// Returns the name as it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Auto => "auto",
            Self::Pre => "pre",
        }
    }
}

impl From<StrategyName> for OutputContextStrategy {
    fn from(name: StrategyName) -> Self {
        match name {
            StrategyName::Manual => Self::Manual,
            StrategyName::Auto => Self::Auto,
            StrategyName::Pre => Self::Pre,
        }
    }
}

/// What to compute.
#[derive(Debug, Args)]
#[command(next_help_heading = "Attribution")]
pub struct ContextMethod {
    /// Contrastive step function that finds context-sensitive tokens.
    #[arg(long, value_name = "NAME", default_value = "kl_divergence")]
    pub context_sensitivity_metric: String,
    /// Attribution method that finds their cues; `whence list methods` shows all.
    #[arg(
        short = 'a',
        long,
        visible_alias = "method",
        value_name = "NAME",
        default_value = "saliency"
    )]
    pub attribution_method: String,
    /// Step function to attribute (`-fn`); `probability` when absent.
    ///
    /// A contrastive one (`contrast_prob_diff`, …) compares each token with the one that the model
    /// predicts in its place without context.
    #[arg(long, value_name = "NAME")]
    pub attributed_fn: Option<String>,
    /// Words to contrast with instead, one per context-sensitive token, in the order of their scores.
    #[arg(long, value_name = "WORD", num_args = 1..)]
    pub contextless_output_next_tokens: Vec<String>,
    /// Ask for these words on the terminal.
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_parser = BoolishValueParser::new(), action = ArgAction::Set, value_name = "BOOL")]
    pub prompt_user_for_contextless_output_next_tokens: bool,
    /// Aggregators that reduce raw scores to one per token. If absent, the method's defaults.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub attribution_aggregators: Option<Vec<String>>,
    /// Index that each aggregator selects, one per aggregator: `0` is the first layer or head.
    #[arg(long, value_name = "INDEX", num_args = 1.., allow_negative_numbers = true, requires = "attribution_aggregators")]
    pub attribution_selectors: Vec<i64>,
    /// Divide each token's scores by the sum of their absolute values.
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_parser = BoolishValueParser::new(), action = ArgAction::Set, value_name = "BOOL")]
    pub normalize_attributions: bool,
    /// Divide all scores by the largest absolute value.
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_parser = BoolishValueParser::new(), action = ArgAction::Set, value_name = "BOOL")]
    pub rescale_attributions: bool,
    /// Parameters of the method and the attributed function, as JSON: `{"n_steps": 100}`.
    #[arg(long, value_name = "JSON", value_parser = json_object, default_value = "{}", hide_default_value = true)]
    pub attribution_kwargs: JsonObject,
    /// How to generate the outputs that are not given, as JSON: `{"max_new_tokens": 40}`.
    #[arg(long, value_name = "JSON", value_parser = json_object, default_value = "{}", hide_default_value = true)]
    pub generation_kwargs: JsonObject,
    /// Languages of a multilingual model, as JSON: `{"src_lang": "en", "tgt_lang": "fr"}`.
    #[arg(long, value_name = "JSON", value_parser = json_object, default_value = "{}", hide_default_value = true)]
    pub tokenizer_kwargs: JsonObject,
    /// Accepted for Inseq's sake if they change nothing.
    #[arg(long, value_name = "JSON", value_parser = json_object, default_value = "{}", hide = true)]
    pub model_kwargs: JsonObject,
    /// Accepted for Inseq's sake; only the CPU is supported.
    #[arg(long, alias = "dev", value_name = "DEVICE", hide = true)]
    pub device: Option<String>,
    /// Seed for all random numbers.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Working memory of the computation, besides the model: `6GiB`, `512MiB` or bytes.
    ///
    /// Default: half of the machine's free memory.
    #[arg(long, env = "WHENCE_MEMORY", value_parser = memory::parse, value_name = "SIZE")]
    pub memory: Option<u64>,
    /// Which numbers to compute in the cases where Inseq's differ from what the model really does.
    #[arg(long, value_enum, default_value_t = CompatName::None)]
    pub compat: CompatName,
}

impl ContextMethod {
    /// Returns how tokens are attributed, as the flags of `attribute` say it.
    pub(crate) fn attribution(&self) -> AttributionOptions {
        AttributionOptions {
            attribution_method: self.attribution_method.clone(),
            attributed_fn: self.function().to_owned(),
            attribution_kwargs: self.attribution_kwargs.clone(),
            generation_kwargs: self.generation_kwargs.clone(),
            tokenizer_kwargs: self.tokenizer_kwargs.clone(),
            chat: None,
            step_scores: Vec::new(),
            attribute_target: false,
            attribution_aggregators: self.attribution_aggregators.clone(),
            attribution_selectors: self.attribution_selectors.clone(),
            rescale_attributions: self.rescale_attributions,
            normalize_attributions: self.normalize_attributions,
            include_eos_baseline: false,
            start_pos: None,
            end_pos: None,
            skip_special_tokens: false,
            generate_from_target_prefix: false,
            device: self.device.clone(),
            model_kwargs: self.model_kwargs.clone(),
            output_step_attributions: false,
            aggregate_output: false,
            compat: self.compat,
        }
    }

    /// Returns the name of the attributed function.
    pub(crate) fn function(&self) -> &str {
        self.attributed_fn.as_deref().unwrap_or("probability")
    }
}

/// What counts as context-sensitive, and as a cue.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selection")]
pub struct ContextSelection {
    /// A token is context-sensitive if its score is at least the mean plus this many standard
    /// deviations; `none` means every token.
    #[arg(long, value_name = "NUMBER", default_value = "1.0", value_parser = weight, allow_negative_numbers = true)]
    pub context_sensitivity_std_threshold: Weight,
    /// At most this many context-sensitive tokens, those with the largest scores.
    #[arg(long, value_name = "COUNT")]
    pub context_sensitivity_topk: Option<usize>,
    /// A token of a context is shown as a cue if its score is at least the mean plus this many
    /// standard deviations; `none` means every token. All scores are saved.
    #[arg(long, value_name = "NUMBER", default_value = "1.0", value_parser = weight, allow_negative_numbers = true)]
    pub attribution_std_threshold: Weight,
    /// Show at most this many cues for each token, those with the largest scores.
    #[arg(long, value_name = "COUNT")]
    pub attribution_topk: Option<usize>,
}

/// A number of standard deviations; `None` if every score is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weight(pub Option<f64>);

fn weight(text: &str) -> Result<Weight, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(Weight(None));
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Weight(Some(number))),
        _ => Err("write a number such as 1.0, or `none` for every token".to_owned()),
    }
}

/// Where results go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a flag a person sets by its own name"
)]
pub struct ContextOutput {
    /// Write the result to this file, as the JSON that Inseq writes. `-` means standard output.
    #[arg(short = 'o', long, value_name = "FILE")]
    pub save_path: Option<PathBuf>,
    /// Write the options to that file too.
    #[arg(long, num_args = 0..=1, default_value_t = true, default_missing_value = "true", hide_possible_values = true, value_parser = BoolishValueParser::new(), action = ArgAction::Set, value_name = "BOOL")]
    pub add_output_info: bool,
    /// The same as `--add-output-info false`.
    #[arg(long, conflicts_with = "add_output_info", hide = true)]
    pub no_add_output_info: bool,
    /// Write a page with the result to this HTML file, which is self-contained.
    #[arg(long, value_name = "FILE")]
    pub viz_path: Option<PathBuf>,
    /// Show the result (`--no-show-viz`: do not).
    #[arg(long, num_args = 0..=1, default_value_t = true, default_missing_value = "true", hide_possible_values = true, value_parser = BoolishValueParser::new(), action = ArgAction::Set, value_name = "BOOL")]
    pub show_viz: bool,
    /// The same as `--show-viz false`.
    #[arg(long, conflicts_with = "show_viz", hide = true)]
    pub no_show_viz: bool,
    /// Show the heatmaps that the result is made of too.
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_parser = BoolishValueParser::new(), action = ArgAction::Set, value_name = "BOOL")]
    pub show_intermediate_outputs: bool,
}

impl ContextOutput {
    /// Returns whether the result is shown on standard output.
    pub fn shows(&self) -> bool {
        self.show_viz && !self.no_show_viz
    }

    /// Returns whether the options are saved.
    pub fn saves_info(&self) -> bool {
        self.add_output_info && !self.no_add_output_info
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_a_number_or_none() {
        assert_eq!(weight("-0.5"), Ok(Weight(Some(-0.5))));
        assert_eq!(weight("None"), Ok(Weight(None)));
        assert!(weight("nan").is_err() && weight("one").is_err());
    }
}
