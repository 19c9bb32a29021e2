//! How targets are generated, in the names of transformers' `generate`.
//!
//! What is absent is the model's own choice (its `generation_config.json`), then transformers'
//! default. Source of the names: `GenerationConfig` of transformers.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::options::{self, OptionError};
use crate::suggest::nearest;

/// How a target is generated when the dataset does not force one.
///
/// JSON with another field than these is refused, with the nearest one in the message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, remote = "Self")]
pub struct GenerationSpec {
    /// Most tokens to generate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_new_tokens: Option<usize>,
    /// Most tokens of the decoder, its prompt counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// Fewest tokens before one that ends the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_new_tokens: Option<usize>,
    /// Fewest tokens of the decoder before one that ends the target, its prompt counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<usize>,
    /// Draw tokens by their probability instead of taking the likeliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub do_sample: Option<bool>,
    /// Divides the logits before drawing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Draw from this many of the likeliest tokens; 0 draws from all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Draw from the likeliest tokens that together have this probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Draw from tokens at least this times as likely as the likeliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f64>,
    /// Hypotheses carried along; 1 is greedy search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_beams: Option<usize>,
    /// Exponent of the length that divides a finished hypothesis' score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length_penalty: Option<f64>,
    /// When beam search ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// Sequences to generate for each example.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_return_sequences: Option<usize>,
    /// Makes tokens that were there before less likely where above 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f64>,
    /// Length of sequences that may stand in the target once only; 0 allows all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_repeat_ngram_size: Option<usize>,
    /// Sequences of tokens that are not generated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bad_words_ids: Option<Vec<Vec<u32>>>,
    /// Tokens that are not generated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppress_tokens: Option<Vec<u32>>,
    /// Tokens that are not generated first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begin_suppress_tokens: Option<Vec<u32>>,
    /// The token after the decoder's start token, such as the code of the target language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced_bos_token_id: Option<u32>,
    /// Replaces whatever would be the last possible token.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Option::is_none"
    )]
    pub forced_eos_token_id: Option<Vec<u32>>,
    /// Tokens that end a target.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Option::is_none"
    )]
    pub eos_token_id: Option<Vec<u32>>,
    /// Encoder-decoder models: continue the example's generated text instead of forcing it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub generate_from_target_prefix: bool,
}

/// When beam search ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected true, false or \"never\"")]
pub enum EarlyStopping {
    /// As soon as there are as many finished hypotheses as beams, or once better ones are unlikely.
    AtFull(bool),
    /// Once no better hypothesis can come.
    When(Never),
}

/// The word `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Never {
    /// Only once no better hypothesis can come.
    Never,
}

impl GenerationSpec {
    /// Every field, as JSON has it.
    pub const FIELDS: &[&str] = &[
        "max_new_tokens",
        "max_length",
        "min_new_tokens",
        "min_length",
        "do_sample",
        "temperature",
        "top_k",
        "top_p",
        "min_p",
        "num_beams",
        "length_penalty",
        "early_stopping",
        "num_return_sequences",
        "repetition_penalty",
        "no_repeat_ngram_size",
        "bad_words_ids",
        "suppress_tokens",
        "begin_suppress_tokens",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "eos_token_id",
        "generate_from_target_prefix",
    ];

    /// Reads JSON whose fields are all known.
    fn from_known(fields: Map<String, Value>) -> Result<Self, OptionError> {
        /// The same fields, read as they are declared.
        #[derive(Deserialize)]
        struct Known(#[serde(with = "GenerationSpec")] GenerationSpec);

        options::read::<Known>(fields).map(|known| known.0)
    }

    /// Reads what a model's own file says, whose other fields are somebody else's.
    ///
    /// Fails if a field is not of its type.
    pub fn of_model(fields: &Map<String, Value>) -> Result<Self, OptionError> {
        let known = |(name, value): &(&String, &Value)| {
            Self::FIELDS.contains(&name.as_str()) && !value.is_null()
        };
        let fields = fields.iter().filter(known);
        Self::from_known(fields.map(|(n, v)| (n.clone(), v.clone())).collect())
    }

    /// Returns these choices, and those of `defaults` where there is none here.
    ///
    /// A length in new tokens and one of the whole decoder exclude each other: whichever is chosen
    /// here rules out the other of the defaults.
    #[must_use]
    pub fn over(&self, defaults: &Self) -> Self {
        let fields = |spec: &Self| match serde_json::to_value(spec) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        let mut merged = fields(defaults);
        let own = fields(self);
        for (one, other) in [
            ("max_new_tokens", "max_length"),
            ("min_new_tokens", "min_length"),
        ] {
            if own.contains_key(one) || own.contains_key(other) {
                merged.remove(one);
                merged.remove(other);
            }
        }
        merged.extend(own);
        Self::from_known(merged).unwrap_or_else(|_| self.clone())
    }
}

impl Serialize for GenerationSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for GenerationSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;

        let fields = Map::deserialize(deserializer)?;
        if let Some(unknown) = fields
            .keys()
            .find(|name| !Self::FIELDS.contains(&name.as_str()))
        {
            let hint = match nearest(unknown, Self::FIELDS.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are `{}`", Self::FIELDS.join("`, `")),
            };
            return Err(D::Error::custom(format!(
                "unknown generation option `{unknown}`, {hint}"
            )));
        }
        Self::from_known(fields).map_err(D::Error::custom)
    }
}

/// Reads a token id or a list of them.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u32>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "expected a token id, 0 or more, or a list of them"
    )]
    enum OneOrMany {
        One(u32),
        Many(Vec<u32>),
    }
    Ok(
        Option::<OneOrMany>::deserialize(deserializer)?.map(|ids| match ids {
            OneOrMany::One(id) => vec![id],
            OneOrMany::Many(ids) => ids,
        }),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: Value) -> GenerationSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn every_field_is_listed() {
        let whole = spec(json!({
            "max_new_tokens": 1, "max_length": 2, "min_new_tokens": 3, "min_length": 4, "do_sample": true,
            "temperature": 0.5, "top_k": 5, "top_p": 0.5, "min_p": 0.1, "num_beams": 6, "length_penalty": 1.0,
            "early_stopping": "never", "num_return_sequences": 7, "repetition_penalty": 1.5,
            "no_repeat_ngram_size": 8, "bad_words_ids": [[9]], "suppress_tokens": [10],
            "begin_suppress_tokens": [11], "forced_bos_token_id": 12, "forced_eos_token_id": 13,
            "eos_token_id": [14, 15], "generate_from_target_prefix": true,
        }));
        let Value::Object(fields) = serde_json::to_value(&whole).unwrap() else {
            panic!("a specification is an object");
        };
        let mut listed = GenerationSpec::FIELDS.to_vec();
        listed.sort_unstable();
        assert_eq!(fields.keys().collect::<Vec<_>>(), listed);
        assert_eq!(spec(Value::Object(fields)), whole);
    }

    #[test]
    fn a_misspelt_option_is_refused_with_the_nearest() {
        let error = serde_json::from_value::<GenerationSpec>(json!({"num_beam": 4})).unwrap_err();
        assert!(error.to_string().contains("`num_beams`"), "{error}");
    }

    #[test]
    fn a_choice_rules_out_the_models_own_and_its_rival() {
        let model = spec(json!({"max_length": 512, "num_beams": 6, "forced_eos_token_id": 0}));
        let chosen = spec(json!({"max_new_tokens": 9, "num_beams": 1})).over(&model);
        assert_eq!(
            chosen,
            spec(json!({"max_new_tokens": 9, "num_beams": 1, "forced_eos_token_id": 0}))
        );
        assert_eq!(GenerationSpec::default().over(&model), model);
    }
}
