//! Flags that change the numbers, under Inseq's names.

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, ValueEnum};
use serde_json::{Map, Value};
use whence_schemas::job::Dtype;
use whence_schemas::ordered::OrderedJson;
use whence_schemas::{Compat, user_path};

use super::suggested;

/// Which model.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelOptions {
    /// Model: a name on the Hugging Face Hub, a folder in its layout, or a GGUF file.
    ///
    /// `ns/name:file.gguf` is one GGUF file of a repository on the Hub.
    #[arg(
        short = 'm',
        long = "model-name-or-path",
        visible_alias = "model",
        value_name = "NAME",
        value_parser = user_path::expand
    )]
    pub model: String,
    /// Branch, tag or commit of a model on the Hub; `main` when absent.
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<String>,
    /// Precision of weights and arithmetic.
    #[arg(long, value_enum, default_value_t = DtypeName::Float32)]
    pub dtype: DtypeName,
}

/// Which texts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Texts")]
pub struct TextOptions {
    /// Input texts: the sentences to translate, or the prompts.
    #[arg(short, long, value_name = "TEXT", num_args = 1.., required = true)]
    pub input_texts: Vec<String>,
    /// Texts to explain, one per input. If absent, the model generates them.
    ///
    /// For decoder-only models, each contains the input text and its continuation.
    #[arg(short, long, value_name = "TEXT", num_args = 1..)]
    pub generated_texts: Vec<String>,
}

/// What to compute.
#[derive(Debug, Args)]
#[command(next_help_heading = "Attribution")]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a flag a person sets by its own name"
)]
pub struct AttributionOptions {
    /// Attribution method; `whence list methods` shows them.
    #[arg(
        short = 'a',
        long,
        visible_alias = "method",
        value_name = "NAME",
        default_value = "saliency",
        value_parser = suggested::METHOD,
        hide_possible_values = true
    )]
    pub attribution_method: String,
    /// Step function to attribute (`-fn`); `whence list step-functions` shows them.
    ///
    /// Takes a name, or JSON if the function needs its own parameters: `{"name": "…", "params": {…}}`.
    #[arg(long, value_name = "NAME", default_value = "probability", value_parser = suggested::STEP_FUNCTION, hide_possible_values = true)]
    pub attributed_fn: String,
    /// Parameters of the method and the step functions that differ from the defaults, as JSON.
    ///
    /// For example `{"n_steps": 100}`. A parameter is passed to the method or function that has it.
    /// Contrastive step functions (`contrast_prob_diff`, `pcxmi`, …) compare with another text:
    ///
    /// - `contrast_targets`: the text to compare with. For decoder-only models, the prompt and its
    ///   continuation: `-fn contrast_prob_diff --attribution-kwargs '{"contrast_targets": "Fermez."}'`;
    ///
    /// - `contrast_sources`: another input for the encoder;
    ///
    /// - `contrast_targets_alignments`: pairs of positions `[[target, contrast], …]`, or `"auto"`. If
    ///   absent, the texts are aligned at their ends;
    ///
    /// - `contrast_force_inputs`: compare with what the model predicts after the contrast text, not
    ///   only with the contrast's token after the original text.
    ///
    /// The one text is used for every example. If each row of a dataset has its own, use
    /// `--contrast-target-field` or `--contrast-source-field`.
    #[arg(long, value_name = "JSON", value_parser = json_object, default_value = "{}", hide_default_value = true)]
    pub attribution_kwargs: JsonObject,
    /// How to generate the texts that are not given, as JSON: `{"max_new_tokens": 40}`.
    #[arg(long, value_name = "JSON", value_parser = json_object, default_value = "{}", hide_default_value = true)]
    pub generation_kwargs: JsonObject,
    /// Languages of a multilingual model, as JSON: `{"src_lang": "en", "tgt_lang": "fr"}`.
    ///
    /// Inseq passes these to the tokenizer of transformers. Other arguments are accepted if they
    /// change nothing, and refused by name otherwise.
    #[arg(long, value_name = "JSON", value_parser = json_object, default_value = "{}", hide_default_value = true)]
    pub tokenizer_kwargs: JsonObject,
    /// Put inputs into the model's chat template.
    ///
    /// A text becomes the content of a user message. To pass whole conversations, use a dataset field
    /// that holds lists of messages (`[{"role": "user", "content": "…"}]`), or texts that hold such
    /// lists as JSON together with `--chat '{"messages": "json"}'`. The texts to explain contain
    /// only the answers. Other keys: `template`, `system`, `date`, `tools`, `documents`, `variables`.
    #[arg(long, value_name = "JSON", value_parser = ordered_object, num_args = 0..=1, default_missing_value = "{}")]
    pub chat: Option<OrderedJson>,
    /// Step functions to record in addition to the scores: names, or JSON with `name`, `params` and
    /// `label`.
    #[arg(long, value_name = "NAME", num_args = 1.., value_parser = suggested::STEP_FUNCTION, hide_possible_values = true)]
    pub step_scores: Vec<String>,
    /// Attribute to the generated prefix too. Always on for decoder-only models.
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_parser = BoolishValueParser::new(), action = ArgAction::Set, value_name = "BOOL")]
    pub attribute_target: bool,
    /// Aggregators that reduce raw scores to one per token. If absent, the method's defaults.
    ///
    /// Parameters follow the name: `vnorm split:split_pattern=\.`, or as JSON. Without this flag,
    /// `attribute --save-path` saves raw scores, as Inseq does. `none` keeps them raw everywhere;
    /// they have no heatmap. `whence list aggregators` shows all aggregators.
    #[arg(long, value_name = "NAME", num_args = 1.., value_parser = suggested::AGGREGATOR, hide_possible_values = true)]
    pub attribution_aggregators: Option<Vec<String>>,
    /// Index that each aggregator selects, one per aggregator: `0` is the first layer or head.
    #[arg(long, value_name = "INDEX", num_args = 1.., allow_negative_numbers = true, requires = "attribution_aggregators")]
    pub attribution_selectors: Vec<i64>,
    /// Divide all scores by the largest absolute value, instead of normalizing each step.
    ///
    /// Inseq's command line ignores this flag unless selectors are given. Here it always applies.
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_parser = BoolishValueParser::new(), action = ArgAction::Set, value_name = "BOOL")]
    pub rescale_attributions: bool,
    /// Divide each step's scores by the sum of their absolute values.
    ///
    /// On by default, as in Inseq's Python interface. In Inseq's command line it is off.
    #[arg(long, num_args = 0..=1, default_value_t = true, default_missing_value = "true", hide_possible_values = true, value_parser = BoolishValueParser::new(), action = ArgAction::Set, value_name = "BOOL")]
    pub normalize_attributions: bool,
    /// Replace end-of-sequence tokens with the baseline token too.
    #[arg(long, visible_alias = "eos", num_args = 0..=1, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_parser = BoolishValueParser::new(), action = ArgAction::Set, value_name = "BOOL")]
    pub include_eos_baseline: bool,
    /// First target position to attribute. Negative values count from the end.
    #[arg(short, long, value_name = "POSITION", allow_negative_numbers = true)]
    pub start_pos: Option<i64>,
    /// Target position at which to stop (exclusive). Negative values count from the end.
    #[arg(short, long, value_name = "POSITION", allow_negative_numbers = true)]
    pub end_pos: Option<i64>,
    /// Encode texts without the tokenizer's special tokens.
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_parser = BoolishValueParser::new(), action = ArgAction::Set, value_name = "BOOL")]
    pub skip_special_tokens: bool,
    /// Let the model continue the given texts to explain, and explain the whole result.
    ///
    /// Only for models with an encoder.
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_parser = BoolishValueParser::new(), action = ArgAction::Set, value_name = "BOOL")]
    pub generate_from_target_prefix: bool,
    /// Accepted for Inseq's sake if they change nothing.
    #[arg(long, value_name = "JSON", value_parser = json_object, default_value = "{}", hide = true)]
    pub model_kwargs: JsonObject,
    /// Accepted for Inseq's sake if false.
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_parser = BoolishValueParser::new(), action = ArgAction::Set, value_name = "BOOL", hide = true)]
    pub output_step_attributions: bool,
    /// Accepted for Inseq's sake; in Inseq it only changes a message.
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_parser = BoolishValueParser::new(), action = ArgAction::Set, value_name = "BOOL", hide = true)]
    pub aggregate_output: bool,
    /// Which numbers to compute in the cases where Inseq's differ from what the model really does.
    #[arg(long, value_enum, default_value_t = CompatName::None)]
    pub compat: CompatName,
}

/// A JSON object.
pub(super) type JsonObject = Map<String, Value>;

const EXAMPLE: &str = "write an object such as '{\"n_steps\": 100}'";

pub(super) fn json_object(text: &str) -> Result<JsonObject, String> {
    match ordered_object(text)?.to_value() {
        Value::Object(object) => Ok(object),
        _ => Err(format!("it is JSON but not an object; {EXAMPLE}")),
    }
}

/// Reads an object whose keys keep their order.
fn ordered_object(text: &str) -> Result<OrderedJson, String> {
    match serde_json::from_str(text) {
        Ok(object @ OrderedJson::Object(_)) => Ok(object),
        Ok(_) => Err(format!("it is JSON but not an object; {EXAMPLE}")),
        Err(error) => Err(format!("it is not JSON ({error}); {EXAMPLE}")),
    }
}

/// Precision, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DtypeName {
    /// Single precision.
    Float32,
    /// Double precision: slower; the reference for single precision.
    Float64,
}

impl DtypeName {
    /// Returns the name as it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Float64 => "float64",
        }
    }
}

impl From<DtypeName> for Dtype {
    fn from(name: DtypeName) -> Self {
        match name {
            DtypeName::Float32 => Self::Float32,
            DtypeName::Float64 => Self::Float64,
        }
    }
}

/// The choice of numbers, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompatName {
    /// The model's own numbers.
    None,
    /// The numbers of Inseq 0.7.1, including its defects.
    #[value(name = "inseq-0.7.1")]
    Inseq071,
}

impl From<CompatName> for Compat {
    fn from(name: CompatName) -> Self {
        match name {
            CompatName::None => Self::None,
            CompatName::Inseq071 => Self::Inseq071,
        }
    }
}
