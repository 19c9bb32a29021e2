//! Flags that say which texts are analyzed, and how they are put together.

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, ValueEnum};
use whence_schemas::OutputContextStrategy;

/// The texts.
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
    /// Words to contrast with instead, one per context-sensitive token, in the order of their scores.
    #[arg(long, value_name = "WORD", num_args = 1..)]
    pub contextless_output_next_tokens: Vec<String>,
    /// Ask for these words on the terminal.
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_parser = BoolishValueParser::new(), action = ArgAction::Set, value_name = "BOOL")]
    pub prompt_user_for_contextless_output_next_tokens: bool,
}

/// The fields of a dataset that hold the texts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Dataset")]
pub struct ContextFields {
    /// Field with the input text: the sentence to translate, or the prompt.
    #[arg(long, visible_aliases = ["input-text-field", "input"], value_name = "FIELD")]
    pub input_current_field: String,
    /// Field with the context of the input text, which may influence the output.
    #[arg(long, value_name = "FIELD")]
    pub input_context_field: Option<String>,
    /// Field with the output to analyze. If absent, the model generates it.
    #[arg(long, visible_aliases = ["generated-text-field", "generated"], value_name = "FIELD")]
    pub output_current_field: Option<String>,
    /// Field with the context of the output: what a translation begins with, or the first part of a
    /// generation.
    #[arg(long, value_name = "FIELD")]
    pub output_context_field: Option<String>,
    /// Fields carried along into the table, in its column `columns`.
    #[arg(long, value_name = "FIELD", num_args = 1..)]
    pub columns: Vec<String>,
}

/// How the texts are put together.
#[derive(Debug, Args)]
#[command(next_help_heading = "Templates")]
pub struct TemplateOptions {
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
