//! How targets are generated, in the names of transformers' `generate`.
//!
//! An absent option falls back to the model's own choice (its `generation_config.json`), then to
//! transformers' default. The names come from `GenerationConfig` of transformers.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::options::{self, OptionError};
use crate::suggest::nearest;

/// How a target is generated when the dataset does not force one.
///
/// JSON with any other field is refused, and the message suggests the closest known name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, remote = "Self")]
pub struct GenerationSpec {
    /// Maximum number of tokens to generate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_new_tokens: Option<usize>,
    /// Maximum length of the decoder's sequence in tokens, its prompt included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// Minimum number of generated tokens before an end-of-sequence token is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_new_tokens: Option<usize>,
    /// Minimum length of the decoder's sequence, its prompt included, before an end-of-sequence
    /// token is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<usize>,
    /// Sample tokens by their probability instead of taking the most likely one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub do_sample: Option<bool>,
    /// Divisor of the logits before sampling; above 1 flattens the distribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Sample from this many of the most likely tokens; 0 samples from all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Sample from the smallest set of most likely tokens whose total probability reaches this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Sample from tokens whose probability is at least this fraction of the most likely token's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f64>,
    /// Number of beams in beam search; 1 is greedy search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_beams: Option<usize>,
    /// A finished hypothesis' score is divided by its length raised to this power.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length_penalty: Option<f64>,
    /// When beam search ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// Number of sequences to generate per example.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_return_sequences: Option<usize>,
    /// Above 1, makes tokens that already occurred less likely.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f64>,
    /// N-grams of this length may occur only once in the target; 0 allows repetitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_repeat_ngram_size: Option<usize>,
    /// Token sequences that are never generated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bad_words_ids: Option<Vec<Vec<u32>>>,
    /// Tokens that are never generated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppress_tokens: Option<Vec<u32>>,
    /// Tokens that are not generated as the first token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begin_suppress_tokens: Option<Vec<u32>>,
    /// Token forced after the decoder's start token, such as the code of the target language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced_bos_token_id: Option<u32>,
    /// Tokens forced at the last position when the maximum length is reached.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Option::is_none"
    )]
    pub forced_eos_token_id: Option<Vec<u32>>,
    /// End-of-sequence tokens: any of them ends a target.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Option::is_none"
    )]
    pub eos_token_id: Option<Vec<u32>>,
    /// For encoder-decoder models: continue the example's given target text instead of forcing it
    /// as the whole target.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub generate_from_target_prefix: bool,
}

/// When beam search ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected true, false or \"never\"")]
pub enum EarlyStopping {
    /// `true` ends the search once there are as many finished hypotheses as beams; `false` ends it
    /// once better hypotheses are unlikely.
    AtFull(bool),
    /// Ends the search only once no better hypothesis is possible.
    When(Never),
}

/// The word `never`; an enum of its own because [`EarlyStopping`] is untagged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Never {
    /// Ends the search only once no better hypothesis is possible.
    Never,
}

impl GenerationSpec {
    /// The names of all fields, as spelled in JSON.
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

    /// Reads JSON whose field names are known to be valid.
    fn from_known(fields: Map<String, Value>) -> Result<Self, OptionError> {
        /// Reads the fields by the derived implementation. [`GenerationSpec`]'s own `Deserialize`
        /// checks the names and then calls this function.
        #[derive(Deserialize)]
        struct Known(#[serde(with = "GenerationSpec")] GenerationSpec);

        options::read::<Known>(fields).map(|known| known.0)
    }

    /// Reads the known fields of a model's `generation_config.json` and ignores the others, which
    /// are meant for other programs.
    ///
    /// Fails if a known field has the wrong type.
    pub fn of_model(fields: &Map<String, Value>) -> Result<Self, OptionError> {
        let known = |(name, value): &(&String, &Value)| {
            Self::FIELDS.contains(&name.as_str()) && !value.is_null()
        };
        let fields = fields.iter().filter(known);
        Self::from_known(fields.map(|(n, v)| (n.clone(), v.clone())).collect())
    }

    /// Returns these choices, filled up with `defaults` where this specification makes none.
    ///
    /// A length in new tokens and a length of the whole sequence exclude each other, so choosing
    /// one of them here discards both defaults.
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
