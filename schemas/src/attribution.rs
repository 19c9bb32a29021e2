//! What to compute for one example, in the public names of Inseq.
//!
//! Names of methods, step functions and aggregators are plain text here: the engine's registries
//! say which exist, and refuse the others. Everything in this file changes the numbers, so it is
//! part of a job's identity; what only changes the speed (batch sizes, threads) is not here.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A method or step function and the parameters given to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionSpec {
    /// Public name, as `whence list` shows it.
    pub name: String,
    /// Parameters that differ from the defaults.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
}

impl FunctionSpec {
    /// Returns the function `name` with its default parameters.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            params: Map::new(),
        }
    }
}

/// Whose numbers to compute where Inseq's differ from what the model really does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compat {
    /// The model's own numbers.
    #[default]
    #[serde(rename = "none")]
    None,
    /// The numbers of Inseq 0.7.1, its defects included.
    #[serde(rename = "inseq-0.7.1")]
    Inseq071,
}

/// How a target is generated when the dataset does not force one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenerationSpec {
    /// Most tokens to generate; the model's generation config, then 20, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_new_tokens: Option<usize>,
}

/// What to compute for one example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is an option a person sets by its own name"
)]
pub struct AttributionSpec {
    /// The attribution method.
    pub method: FunctionSpec,
    /// The function of a step's logits that is attributed.
    #[serde(default = "probability")]
    pub attributed_fn: FunctionSpec,
    /// Functions that are only recorded, one score a step each.
    #[serde(default)]
    pub step_scores: Vec<FunctionSpec>,
    /// Encoder-decoder models: attribute to the target prefix too. Decoder-only models always do.
    #[serde(default)]
    pub attribute_target: bool,
    /// Replace end-of-sequence tokens by the baseline token too.
    #[serde(default)]
    pub include_eos_baseline: bool,
    /// Aggregators from raw scores to one score a token; the method's own when absent, raw scores when empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregators: Option<Vec<String>>,
    /// Divide each step's scores by the sum of their absolute values after each aggregator.
    #[serde(default = "yes")]
    pub normalize: bool,
    /// First target position to attribute; the first generated token when absent. Negative counts from the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attr_pos_start: Option<i64>,
    /// Target position after the last to attribute; the end when absent. Negative counts from the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attr_pos_end: Option<i64>,
    /// Encode texts without the tokenizer's special tokens.
    #[serde(default)]
    pub skip_special_tokens: bool,
    /// Whose numbers to compute.
    #[serde(default)]
    pub compat: Compat,
    /// How to generate targets that are not forced.
    #[serde(default)]
    pub generation: GenerationSpec,
}

impl AttributionSpec {
    /// Returns the specification of `method` with every option at its default.
    pub fn of_method(method: &str) -> Self {
        Self {
            method: FunctionSpec::named(method),
            attributed_fn: probability(),
            step_scores: Vec::new(),
            attribute_target: false,
            include_eos_baseline: false,
            aggregators: None,
            normalize: true,
            attr_pos_start: None,
            attr_pos_end: None,
            skip_special_tokens: false,
            compat: Compat::None,
            generation: GenerationSpec::default(),
        }
    }
}

/// Inseq's default attributed function.
fn probability() -> FunctionSpec {
    FunctionSpec::named("probability")
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_fill_in_what_json_leaves_out() {
        let spec: AttributionSpec =
            serde_json::from_str(r#"{"method": {"name": "saliency"}}"#).unwrap();
        assert_eq!(spec, AttributionSpec::of_method("saliency"));
    }

    #[test]
    fn a_misspelt_field_is_refused_by_name() {
        let error = serde_json::from_str::<AttributionSpec>(
            r#"{"method": {"name": "saliency"}, "normalise": true}"#,
        );
        assert!(error.unwrap_err().to_string().contains("normalise"));
    }
}
