//! Options of Inseq and transformers that change no numbers in whence.
//!
//! People reuse the command lines they have. An option that would change nothing is accepted, with
//! the values that change nothing. Any other value is refused and the message gives the reason,
//! because a number that is silently different is worse than an error.

use serde_json::Value;

use crate::suggest::nearest;

/// An option that is accepted and ignored.
#[derive(Debug)]
pub struct Harmless {
    /// Name of the option.
    pub name: &'static str,
    values: Values,
    /// Why the option changes nothing, or what decides instead. Printed when a value is refused.
    pub why: &'static str,
}

/// The values with which an option changes nothing.
#[derive(Debug, Clone, Copy)]
enum Values {
    Any,
    /// A whole number above 0.
    Count,
    /// A token id: a whole number, 0 or more.
    TokenId,
    /// One of these values, written as JSON. An empty list accepts only null.
    Only(&'static [&'static str]),
}

impl Values {
    fn have(self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            _ if value.is_null() => true,
            Self::Count => value.as_u64().is_some_and(|count| count > 0),
            Self::TokenId => value.as_u64().is_some(),
            Self::Only(known) => known.iter().any(|known| is(value, known)),
        }
    }

    fn expected(self) -> String {
        match self {
            Self::Any => "anything".to_owned(),
            Self::Count => "a whole number, 1 or more".to_owned(),
            Self::TokenId => "a token id, 0 or more".to_owned(),
            Self::Only([]) => "absent".to_owned(),
            Self::Only(known) => known.join(" or "),
        }
    }
}

/// Returns whether `value` equals the value written as `json`. Numbers are compared as numbers, so
/// `1` equals `1.0`.
fn is(value: &Value, json: &str) -> bool {
    let known: Value = serde_json::from_str(json).unwrap_or_default();
    match (value.as_f64(), known.as_f64()) {
        (Some(value), Some(known)) => (value - known).abs() < f64::EPSILON,
        _ => *value == known,
    }
}

const fn taken(name: &'static str, values: Values, why: &'static str) -> Harmless {
    Harmless { name, values, why }
}

const FALSE: Values = Values::Only(&["false"]);
const NOTHING: Values = Values::Only(&[]);

// Reasons that several options share.
const MEMORY: &str = "how much is computed at once changes no number; --memory bounds it";
const SHOWN: &str = "progress is shown as --quiet says";
const CACHED: &str = "it says where files are cached or fetched; the model is a folder here";
const RETURNED: &str = "it says what transformers returns, not what it generates";
const FOLLOWED_BY_NOBODY: &str = "whence does not follow it when generating";
const OWN_FILES: &str = "the model's own files decide";
const CPU: &str = "whence runs on the CPU";

/// Keys of `--attribution-kwargs` that belong to no method or step function in whence.
pub const ATTRIBUTION: &[Harmless] = &[
    taken("internal_batch_size", Values::Count, MEMORY),
    taken("perturbations_per_eval", Values::Count, MEMORY),
    taken("batch_size", Values::Count, "--batch-size says it"),
    taken("show_progress", Values::Any, SHOWN),
    taken("pretty_progress", Values::Any, SHOWN),
    taken("n_jobs", Values::Any, "every core is used"),
    taken("save_cache", Values::Any, CACHED),
    taken("overwrite_cache", Values::Any, CACHED),
    taken("cache_dir", Values::Any, CACHED),
    taken("device", Values::Only(&["\"cpu\""]), CPU),
    taken(
        "output_step_attributions",
        FALSE,
        "Inseq cannot load the files it writes with it; every step is in the table",
    ),
    taken(
        "clean_special_chars",
        FALSE,
        "tokens are shown as the vocabulary has them",
    ),
    taken(
        "attribute_to_layer_input",
        FALSE,
        "layers are attributed at what they put out",
    ),
    taken(
        "custom_attribution_func",
        NOTHING,
        "a function of Python cannot run here",
    ),
];

/// Keys of both `--generation-kwargs` and `--model-kwargs`: transformers takes them when it loads a
/// model and when it generates.
pub const COMPUTING: &[Harmless] = &[
    taken("use_cache", Values::Any, "the cache changes no number"),
    taken("output_attentions", Values::Any, RETURNED),
    taken("output_hidden_states", Values::Any, RETURNED),
];

/// Keys of both `--tokenizer-kwargs` and `--model-kwargs`: where the files come from.
pub const LOADING: &[Harmless] = &[
    taken("trust_remote_code", FALSE, "no code of a model is run"),
    taken("local_files_only", Values::Any, CACHED),
    taken("cache_dir", Values::Any, CACHED),
    taken("force_download", Values::Any, CACHED),
    taken("token", Values::Any, CACHED),
    taken("use_auth_token", Values::Any, CACHED),
    taken("revision", Values::Only(&["\"main\""]), CACHED),
];

/// Other keys of `--generation-kwargs` that are not fields of [`crate::GenerationSpec`].
pub const GENERATION: &[Harmless] = &[
    taken(
        "cache_implementation",
        Values::Any,
        "the cache changes no number",
    ),
    taken("cache_config", Values::Any, "the cache changes no number"),
    taken(
        "pad_token_id",
        Values::TokenId,
        "texts are generated without padding",
    ),
    taken(
        "bos_token_id",
        Values::TokenId,
        "every text is continued from its own tokens",
    ),
    taken("return_dict_in_generate", Values::Any, RETURNED),
    taken("output_scores", Values::Any, RETURNED),
    taken("output_logits", Values::Any, RETURNED),
    taken("low_memory", Values::Any, MEMORY),
    taken("synced_gpus", Values::Any, CPU),
    taken("disable_compile", Values::Any, "nothing is compiled"),
    taken(
        "skip_special_tokens",
        Values::Only(&["true"]),
        "the generated tokens themselves are explained, whatever their text is",
    ),
    taken("renormalize_logits", FALSE, FOLLOWED_BY_NOBODY),
    taken("remove_invalid_values", FALSE, FOLLOWED_BY_NOBODY),
    taken("max_time", NOTHING, FOLLOWED_BY_NOBODY),
    taken("stop_strings", NOTHING, FOLLOWED_BY_NOBODY),
    taken("constraints", NOTHING, FOLLOWED_BY_NOBODY),
    taken("force_words_ids", NOTHING, FOLLOWED_BY_NOBODY),
    taken("assistant_model", NOTHING, FOLLOWED_BY_NOBODY),
    taken("prompt_lookup_num_tokens", NOTHING, FOLLOWED_BY_NOBODY),
    taken("watermarking_config", NOTHING, FOLLOWED_BY_NOBODY),
    taken(
        "decoder_start_token_id",
        NOTHING,
        "the model's own configuration says what its decoder starts with",
    ),
];

/// Generation options that whence does not implement, each with the value that turns it off. With
/// any other value, a job or a model would get other texts than in transformers.
pub const NOT_FOLLOWED: &[Harmless] = &[
    taken("penalty_alpha", NOTHING, FOLLOWED_BY_NOBODY),
    taken("guidance_scale", ONE, FOLLOWED_BY_NOBODY),
    taken("sequence_bias", NOTHING, FOLLOWED_BY_NOBODY),
    taken(
        "exponential_decay_length_penalty",
        NOTHING,
        FOLLOWED_BY_NOBODY,
    ),
    taken("dola_layers", NOTHING, FOLLOWED_BY_NOBODY),
    taken("num_beam_groups", ONE, FOLLOWED_BY_NOBODY),
    taken("diversity_penalty", ZERO, FOLLOWED_BY_NOBODY),
    taken("encoder_repetition_penalty", ONE, FOLLOWED_BY_NOBODY),
    taken("encoder_no_repeat_ngram_size", ZERO, FOLLOWED_BY_NOBODY),
    taken("typical_p", ONE, FOLLOWED_BY_NOBODY),
    taken("epsilon_cutoff", ZERO, FOLLOWED_BY_NOBODY),
    taken("eta_cutoff", ZERO, FOLLOWED_BY_NOBODY),
];

const ONE: Values = Values::Only(&["1"]);
const ZERO: Values = Values::Only(&["0"]);

/// Other keys of `--tokenizer-kwargs`. Only the languages, which are not in this table, change anything.
pub const TOKENIZER: &[Harmless] = &[
    taken(
        "use_fast",
        Values::Only(&["true"]),
        "texts are encoded as the fast tokenizers of transformers do",
    ),
    taken(
        "padding_side",
        Values::Any,
        "texts are encoded without padding",
    ),
    taken(
        "truncation_side",
        Values::Any,
        "texts are never cut: one that is too long is an error of its row",
    ),
    taken("clean_up_tokenization_spaces", FALSE, OWN_FILES),
];

/// Other keys of `--model-kwargs`, except for the precision, which `--dtype` sets.
pub const MODEL: &[Harmless] = &[
    taken("low_cpu_mem_usage", Values::Any, MEMORY),
    taken(
        "device_map",
        Values::Only(&["\"cpu\"", "\"auto\"", "{\"\": \"cpu\"}"]),
        CPU,
    ),
    taken(
        "attn_implementation",
        Values::Only(&["\"eager\"", "\"sdpa\""]),
        "both are the same attention in full precision; others compute in half precision",
    ),
    taken("use_safetensors", Values::Any, OWN_FILES),
    taken("return_dict", Values::Any, RETURNED),
    taken("offload_folder", Values::Any, MEMORY),
    taken("max_memory", Values::Any, MEMORY),
    taken(
        "load_in_8bit",
        FALSE,
        "weights are not quantized on loading",
    ),
    taken(
        "load_in_4bit",
        FALSE,
        "weights are not quantized on loading",
    ),
    taken(
        "quantization_config",
        NOTHING,
        "weights are not quantized on loading",
    ),
    taken("ignore_mismatched_sizes", FALSE, OWN_FILES),
];

/// Returns `true` if `table` has the option `name` and `value` changes nothing, and `false` if the
/// table does not have the option.
///
/// Fails if the table has the option and `value` would change something or is invalid.
pub fn takes(table: &[Harmless], name: &str, value: &Value) -> Result<bool, String> {
    let Some(option) = table.iter().find(|option| option.name == name) else {
        return Ok(false);
    };
    if option.values.have(value) {
        return Ok(true);
    }
    let (expected, why) = (option.values.expected(), option.why);
    Err(format!("{name} must be {expected}, not {value}: {why}"))
}

impl Harmless {
    /// Returns whether `value` would change the results.
    pub fn changes(&self, value: &Value) -> bool {
        !self.values.have(value)
    }
}

/// Returns the message for an unknown option. It suggests the closest of the `known` names.
pub fn unknown<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> String {
    match nearest(name, known) {
        Some(near) => format!("unknown option `{name}`, did you mean `{near}`?"),
        None => format!("unknown option `{name}`"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_that_changes_nothing_is_taken_and_another_is_refused_with_the_reason() {
        for (table, name, value) in [
            (ATTRIBUTION, "internal_batch_size", json!(4)),
            (ATTRIBUTION, "internal_batch_size", json!(null)),
            (ATTRIBUTION, "device", json!("cpu")),
            (COMPUTING, "use_cache", json!(false)),
            (NOT_FOLLOWED, "guidance_scale", json!(1.0)),
            (NOT_FOLLOWED, "penalty_alpha", json!(null)),
            (MODEL, "device_map", json!({"": "cpu"})),
        ] {
            assert_eq!(takes(table, name, &value), Ok(true), "{name} = {value}");
        }
        for (table, name, value, said) in [
            (
                ATTRIBUTION,
                "internal_batch_size",
                json!(0),
                "internal_batch_size must be a whole number, 1 or more, not 0: how much is computed at once changes no number; --memory bounds it",
            ),
            (
                NOT_FOLLOWED,
                "guidance_scale",
                json!(1.5),
                "guidance_scale must be 1, not 1.5: whence does not follow it when generating",
            ),
            (
                GENERATION,
                "stop_strings",
                json!(["x"]),
                "stop_strings must be absent, not [\"x\"]: whence does not follow it when generating",
            ),
            (
                GENERATION,
                "pad_token_id",
                json!(-1),
                "pad_token_id must be a token id, 0 or more, not -1: texts are generated without padding",
            ),
        ] {
            assert_eq!(takes(table, name, &value), Err(said.to_owned()));
        }
        assert_eq!(takes(MODEL, "nobody", &json!(1)), Ok(false));
    }

    /// The tables that are read together, one entry per flag.
    const FLAGS: [&[&[Harmless]]; 4] = [
        &[ATTRIBUTION],
        &[GENERATION, COMPUTING, NOT_FOLLOWED],
        &[TOKENIZER, LOADING],
        &[MODEL, LOADING, COMPUTING],
    ];

    #[test]
    fn no_option_of_a_flag_is_listed_twice() {
        for tables in FLAGS {
            let options = tables.iter().copied().flatten();
            let mut names: Vec<_> = options.map(|option| option.name).collect();
            names.sort_unstable();
            let num_names = names.len();
            names.dedup();
            assert_eq!(names.len(), num_names, "{names:?}");
        }
    }

    #[test]
    fn the_values_of_the_tables_are_json() {
        for option in FLAGS.into_iter().flatten().copied().flatten() {
            if let Values::Only(known) = option.values {
                for json in known {
                    assert!(
                        serde_json::from_str::<Value>(json).is_ok(),
                        "{}",
                        option.name
                    );
                }
            }
        }
    }
}
