//! What to compute for one example, in the public names of Inseq.
//!
//! Names of methods, step functions and aggregators are plain text here. The engine's registries
//! know which ones exist and refuse the others. Everything in this file changes the numbers, so it
//! is part of a job's identity. Settings that only change the speed (batch sizes, threads) are not
//! here.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::chat::ChatSpec;
use crate::generation::GenerationSpec;

/// A method, step function or aggregator, and the parameters given to it.
///
/// In JSON it is an object, or just the name if every parameter has its default.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunctionSpec {
    /// Public name, as `whence list` shows it.
    pub name: String,
    /// Parameters that differ from the function's defaults.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// Name of the result, if the function's own name is ambiguous: two expressions among the step
    /// scores need two different names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

impl FunctionSpec {
    /// Returns the function `name` with its default parameters.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            params: Map::new(),
            label: None,
        }
    }

    /// Returns the name of the result: the label, or the function's name.
    pub fn label(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.name)
    }
}

impl<'de> Deserialize<'de> for FunctionSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// The object form. It is a separate type so that serde can name a misspelled field; an
        /// untagged enum would only report that no variant matched.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Long {
            name: String,
            #[serde(default)]
            params: Map<String, Value>,
            #[serde(default)]
            label: Option<String>,
        }

        struct NameOrLong;

        impl<'de> Visitor<'de> for NameOrLong {
            type Value = FunctionSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name, or an object with `name` and `params`")
            }

            fn visit_str<E>(self, name: &str) -> Result<FunctionSpec, E> {
                Ok(FunctionSpec::named(name))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FunctionSpec, A::Error> {
                let Long {
                    name,
                    params,
                    label,
                } = Long::deserialize(MapAccessDeserializer::new(map))?;
                Ok(FunctionSpec {
                    name,
                    params,
                    label,
                })
            }
        }

        deserializer.deserialize_any(NameOrLong)
    }
}

/// What each example is contrasted with. Used by the step functions whose names begin with
/// `contrast_` and by the other contrastive ones. The field names are those of Inseq's arguments.
///
/// A dataset gives the texts row by row through [`crate::DatasetSource`]. The texts here apply to
/// every example that has none of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContrastSpec {
    /// Encoder input of the contrast; defaults to the example's own. Needs a model with an encoder.
    #[serde(deserialize_with = "one_text", skip_serializing_if = "Option::is_none")]
    pub contrast_sources: Option<String>,
    /// Target of the contrast; defaults to the example's own. For decoder-only models it is the
    /// prompt followed by the continuation.
    #[serde(deserialize_with = "one_text", skip_serializing_if = "Option::is_none")]
    pub contrast_targets: Option<String>,
    /// Which position of the contrast each position of the target is compared with.
    #[serde(skip_serializing_if = "Alignments::is_default")]
    pub contrast_targets_alignments: Alignments,
    /// Compare with what the model predicts after the contrast, instead of with what it predicts
    /// for the contrast's token after the example itself. Only attributed functions read this: step
    /// scores always compare with the prediction after the contrast.
    #[serde(skip_serializing_if = "is_false")]
    pub contrast_force_inputs: bool,
}

impl ContrastSpec {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Reads the one text that applies to every example. People who have several examples try to pass a
/// list, so the message explains where a list goes.
fn one_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    struct OneText;

    impl Visitor<'_> for OneText {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(
                "one text, which serves every example (where each has its own, put them into a \
                 dataset and name the field: --contrast-target-field or --contrast-source-field)",
            )
        }

        fn visit_unit<E>(self) -> Result<Option<String>, E> {
            Ok(None)
        }

        fn visit_str<E>(self, text: &str) -> Result<Option<String>, E> {
            Ok(Some(text.to_owned()))
        }
    }

    deserializer.deserialize_any(OneText)
}

/// How the positions of a target and its contrast are paired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"auto\" or a list of [target, contrast] pairs"
)]
pub enum Alignments {
    /// These pairs (target position, contrast position). All other positions are paired by counting
    /// from the ends.
    Pairs(Vec<(usize, usize)>),
    /// Pairs found by a named rule.
    Rule(AlignmentRule),
}

/// A rule by which the positions of a target and its contrast are paired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlignmentRule {
    /// Pairs positions by the similarity of their tokens in the model's own embeddings.
    Auto,
}

impl Alignments {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Alignments {
    /// Returns no pairs: positions are counted from the ends.
    fn default() -> Self {
        Self::Pairs(Vec::new())
    }
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde calls"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Whose numbers to compute when Inseq's differ from what the model really does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compat {
    /// The model's own numbers.
    #[default]
    #[serde(rename = "none")]
    None,
    /// The numbers of Inseq 0.7.1, including its bugs.
    #[serde(rename = "inseq-0.7.1")]
    Inseq071,
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
    /// Functions that are recorded but not attributed, with one score per step each.
    #[serde(default)]
    pub step_scores: Vec<FunctionSpec>,
    /// Names of the scores that the method itself records at each step, such as its convergence
    /// deltas. Submitting a job fills them in from the method's own description, so that everyone
    /// who writes or reads the job's table agrees on its columns. A value from the user is
    /// replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub method_scores: Vec<String>,
    /// For encoder-decoder models: attribute to the target prefix too. Decoder-only models always
    /// do.
    #[serde(default)]
    pub attribute_target: bool,
    /// Replace end-of-sequence tokens by the baseline token as well.
    #[serde(default)]
    pub include_eos_baseline: bool,
    /// What the contrastive functions compare each example with.
    #[serde(default, skip_serializing_if = "ContrastSpec::is_default")]
    pub contrast: ContrastSpec,
    /// Aggregators that turn raw scores into one score per token. When absent, the method's own are
    /// used; when empty, the scores stay raw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregators: Option<Vec<FunctionSpec>>,
    /// Divide each step's scores by the sum of their absolute values after each aggregator.
    #[serde(default = "yes")]
    pub normalize: bool,
    /// First target position to attribute; the first generated token when absent. A negative
    /// position counts from the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attr_pos_start: Option<i64>,
    /// Target position after the last one to attribute; the end when absent. A negative position
    /// counts from the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attr_pos_end: Option<i64>,
    /// Encode texts without the tokenizer's special tokens.
    #[serde(default)]
    pub skip_special_tokens: bool,
    /// Whose numbers to compute: the model's or Inseq's.
    #[serde(default)]
    pub compat: Compat,
    /// How to generate targets that are not forced.
    #[serde(default)]
    pub generation: GenerationSpec,
    /// Language code of the input texts, spelled as the model spells it. Only for multilingual
    /// models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src_lang: Option<String>,
    /// Language code of the targets. Generated targets begin with this code's token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tgt_lang: Option<String>,
    /// Put input texts into the model's chat template as this describes; no template when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<ChatSpec>,
}

impl AttributionSpec {
    /// Returns the names of the scores recorded at each step, in column order: first the requested
    /// ones, then the method's own.
    pub fn step_score_labels(&self) -> Vec<String> {
        let asked = self.step_scores.iter();
        let asked = asked.map(|score| score.label().to_owned());
        asked.chain(self.method_scores.iter().cloned()).collect()
    }

    /// Returns the specification of `method` with every option at its default.
    pub fn of_method(method: &str) -> Self {
        Self {
            method: FunctionSpec::named(method),
            attributed_fn: probability(),
            step_scores: Vec::new(),
            method_scores: Vec::new(),
            attribute_target: false,
            include_eos_baseline: false,
            contrast: ContrastSpec::default(),
            aggregators: None,
            normalize: true,
            attr_pos_start: None,
            attr_pos_end: None,
            skip_special_tokens: false,
            compat: Compat::None,
            generation: GenerationSpec::default(),
            src_lang: None,
            tgt_lang: None,
            chat: None,
        }
    }
}

/// Returns Inseq's default attributed function.
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
    fn a_bare_name_is_a_function_without_parameters() {
        let short = r#"{"method": "saliency", "aggregators": ["vnorm", {"name": "subwords"}]}"#;
        let spec: AttributionSpec = serde_json::from_str(short).unwrap();
        let named = ["vnorm", "subwords"].map(FunctionSpec::named);
        assert_eq!(spec.aggregators, Some(named.to_vec()));
        assert_eq!(spec.method, FunctionSpec::named("saliency"));
    }

    #[test]
    fn alignments_are_pairs_or_a_rule() {
        let read = |json: &str| serde_json::from_str::<Alignments>(json);
        assert_eq!(
            read("[[5, 6], [6, 7]]").unwrap(),
            Alignments::Pairs(vec![(5, 6), (6, 7)])
        );
        assert_eq!(
            read(r#""auto""#).unwrap(),
            Alignments::Rule(AlignmentRule::Auto)
        );
        assert!(read(r#""left""#).is_err());
    }

    #[test]
    fn a_misspelt_parameter_list_is_refused_by_name() {
        let error = serde_json::from_str::<AttributionSpec>(
            r#"{"method": {"name": "saliency", "parms": {}}}"#,
        );
        assert!(error.unwrap_err().to_string().contains("parms"));
    }

    #[test]
    fn a_misspelt_field_is_refused_by_name() {
        let error = serde_json::from_str::<AttributionSpec>(
            r#"{"method": {"name": "saliency"}, "normalise": true}"#,
        );
        assert!(error.unwrap_err().to_string().contains("normalise"));
    }
}
