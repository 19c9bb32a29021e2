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
    /// A truth value. Anything else is a secret, which no message repeats.
    NoSecret,
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
            Self::NoSecret => value.is_boolean(),
            Self::Only(known) => known.iter().any(|known| is(value, known)),
        }
    }

    fn expected(self) -> String {
        match self {
            Self::Any => "anything".to_owned(),
            Self::Count => "a whole number, 1 or more".to_owned(),
            Self::TokenId => "a token id, 0 or more".to_owned(),
            Self::NoSecret => "true or false".to_owned(),
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
const MEMORY: &str =
    "it sets how much is computed at once, which changes no result; use --memory to limit memory";
const SHOWN: &str = "use --quiet to hide progress";
const INSEQ_CACHE: &str = "it configures a cache of Inseq, which whence does not have";
const HUB_CACHE: &str = "set HF_HUB_CACHE to the folder instead";
const TOKEN: &str = "set HF_TOKEN to the token instead, which keeps it out of the command line";
const RETURNED: &str = "it changes what transformers returns, not what it generates";
const UNSUPPORTED: &str = "whence does not support this generation option";
const OWN_FILES: &str = "the model's own files decide this";
const UNPADDED: &str = "whence does not pad texts";
const GENERATION_CACHE: &str = "the cache does not change the results";
const UNQUANTIZED: &str = "whence does not quantize weights when it loads them";
const DEVICE: &str = "use --device";

/// Keys of `--attribution-kwargs` that belong to no method or step function in whence.
pub const ATTRIBUTION: &[Harmless] = &[
    taken("internal_batch_size", Values::Count, MEMORY),
    taken("perturbations_per_eval", Values::Count, MEMORY),
    taken("batch_size", Values::Count, "use --batch-size"),
    taken("show_progress", Values::Any, SHOWN),
    taken("pretty_progress", Values::Any, SHOWN),
    taken("n_jobs", Values::Any, "whence always uses all cores"),
    taken("save_cache", Values::Any, INSEQ_CACHE),
    taken("overwrite_cache", Values::Any, INSEQ_CACHE),
    taken("cache_dir", Values::Any, INSEQ_CACHE),
    taken("device", Values::Only(&["\"cpu\""]), DEVICE),
    taken(
        "output_step_attributions",
        FALSE,
        "Inseq cannot load files with step attributions; the table has every step",
    ),
    taken(
        "clean_special_chars",
        FALSE,
        "whence shows tokens as the vocabulary spells them",
    ),
    taken(
        "attribute_to_layer_input",
        FALSE,
        "whence attributes layers at their output",
    ),
    taken(
        "custom_attribution_func",
        NOTHING,
        "whence cannot run Python functions",
    ),
];

/// Keys of both `--generation-kwargs` and `--model-kwargs`: transformers takes them when it loads a
/// model and when it generates.
pub const COMPUTING: &[Harmless] = &[
    taken("use_cache", Values::Any, GENERATION_CACHE),
    taken("output_attentions", Values::Any, RETURNED),
    taken("output_hidden_states", Values::Any, RETURNED),
];

/// Keys of both `--tokenizer-kwargs` and `--model-kwargs`: where the files come from.
pub const LOADING: &[Harmless] = &[
    taken(
        "trust_remote_code",
        FALSE,
        "whence never runs the code of a model",
    ),
    taken(
        "local_files_only",
        FALSE,
        "set HF_HUB_OFFLINE=1 to use only the cache",
    ),
    taken("cache_dir", NOTHING, HUB_CACHE),
    taken(
        "force_download",
        FALSE,
        "whence verifies what it downloads; delete the model from the cache to download it again",
    ),
    taken("token", Values::NoSecret, TOKEN),
    taken("use_auth_token", Values::NoSecret, TOKEN),
    taken("revision", NOTHING, "use --revision"),
];

/// Other keys of `--generation-kwargs` that are not fields of [`crate::GenerationSpec`].
pub const GENERATION: &[Harmless] = &[
    taken("cache_implementation", Values::Any, GENERATION_CACHE),
    taken("cache_config", Values::Any, GENERATION_CACHE),
    taken("pad_token_id", Values::TokenId, UNPADDED),
    taken(
        "bos_token_id",
        Values::TokenId,
        "generation continues the tokens of the prompt",
    ),
    taken("return_dict_in_generate", Values::Any, RETURNED),
    taken("output_scores", Values::Any, RETURNED),
    taken("output_logits", Values::Any, RETURNED),
    taken("low_memory", Values::Any, MEMORY),
    taken("synced_gpus", Values::Any, DEVICE),
    taken("disable_compile", Values::Any, "whence compiles nothing"),
    taken(
        "skip_special_tokens",
        Values::Only(&["true"]),
        "whence explains the generated tokens themselves, not their text",
    ),
    taken("renormalize_logits", FALSE, UNSUPPORTED),
    taken("remove_invalid_values", FALSE, UNSUPPORTED),
    taken("max_time", NOTHING, UNSUPPORTED),
    taken("stop_strings", NOTHING, UNSUPPORTED),
    taken("constraints", NOTHING, UNSUPPORTED),
    taken("force_words_ids", NOTHING, UNSUPPORTED),
    taken("assistant_model", NOTHING, UNSUPPORTED),
    taken("prompt_lookup_num_tokens", NOTHING, UNSUPPORTED),
    taken("watermarking_config", NOTHING, UNSUPPORTED),
    taken(
        "decoder_start_token_id",
        NOTHING,
        "the model's configuration sets the token that the decoder starts with",
    ),
];

/// Generation options that whence does not implement, each with the value that turns it off. With
/// any other value, a job or a model would get other texts than in transformers.
pub const NOT_FOLLOWED: &[Harmless] = &[
    taken("penalty_alpha", NOTHING, UNSUPPORTED),
    taken("guidance_scale", ONE, UNSUPPORTED),
    taken("sequence_bias", NOTHING, UNSUPPORTED),
    taken("exponential_decay_length_penalty", NOTHING, UNSUPPORTED),
    taken("dola_layers", NOTHING, UNSUPPORTED),
    taken("num_beam_groups", ONE, UNSUPPORTED),
    taken("diversity_penalty", ZERO, UNSUPPORTED),
    taken("encoder_repetition_penalty", ONE, UNSUPPORTED),
    taken("encoder_no_repeat_ngram_size", ZERO, UNSUPPORTED),
    taken("typical_p", ONE, UNSUPPORTED),
    taken("epsilon_cutoff", ZERO, UNSUPPORTED),
    taken("eta_cutoff", ZERO, UNSUPPORTED),
];

const ONE: Values = Values::Only(&["1"]);
const ZERO: Values = Values::Only(&["0"]);

/// Other keys of `--tokenizer-kwargs`. Only the languages, which are not in this table, change anything.
pub const TOKENIZER: &[Harmless] = &[
    taken(
        "use_fast",
        Values::Only(&["true"]),
        "whence tokenizes as the fast tokenizers of transformers do",
    ),
    taken("padding_side", Values::Any, UNPADDED),
    taken(
        "truncation_side",
        Values::Any,
        "whence never truncates a text; one that is too long becomes an error row",
    ),
    taken("clean_up_tokenization_spaces", FALSE, OWN_FILES),
];

/// Other keys of `--model-kwargs`, except for the precision, which `--dtype` sets.
pub const MODEL: &[Harmless] = &[
    taken("low_cpu_mem_usage", Values::Any, MEMORY),
    taken(
        "device_map",
        Values::Only(&["\"cpu\"", "\"auto\"", "{\"\": \"cpu\"}"]),
        DEVICE,
    ),
    taken(
        "attn_implementation",
        Values::Only(&["\"eager\"", "\"sdpa\""]),
        "both compute the same attention in full precision; the others compute in half precision",
    ),
    taken("use_safetensors", Values::Any, OWN_FILES),
    taken("return_dict", Values::Any, RETURNED),
    taken("offload_folder", Values::Any, MEMORY),
    taken("max_memory", Values::Any, MEMORY),
    taken("load_in_8bit", FALSE, UNQUANTIZED),
    taken("load_in_4bit", FALSE, UNQUANTIZED),
    taken("quantization_config", NOTHING, UNQUANTIZED),
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
    Err(match option.values {
        Values::NoSecret => format!("{name} must be {expected}: {why}"),
        _ => format!("{name} must be {expected}, not {value}: {why}"),
    })
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
            (LOADING, "token", json!(true)),
        ] {
            assert_eq!(takes(table, name, &value), Ok(true), "{name} = {value}");
        }
        for (table, name, value, said) in [
            (
                ATTRIBUTION,
                "internal_batch_size",
                json!(0),
                "internal_batch_size must be a whole number, 1 or more, not 0: it sets how much is computed at once, which changes no result; use --memory to limit memory",
            ),
            (
                NOT_FOLLOWED,
                "guidance_scale",
                json!(1.5),
                "guidance_scale must be 1, not 1.5: whence does not support this generation option",
            ),
            (
                LOADING,
                "token",
                json!("hf_secret"),
                "token must be true or false: set HF_TOKEN to the token instead, which keeps it out of the command line",
            ),
            (
                LOADING,
                "revision",
                json!("v1"),
                "revision must be absent, not \"v1\": use --revision",
            ),
            (
                GENERATION,
                "stop_strings",
                json!(["x"]),
                "stop_strings must be absent, not [\"x\"]: whence does not support this generation option",
            ),
            (
                GENERATION,
                "pad_token_id",
                json!(-1),
                "pad_token_id must be a token id, 0 or more, not -1: whence does not pad texts",
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
