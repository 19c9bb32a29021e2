//! Checks the class in `architectures` of `config.json`, in addition to `model_type`.
//!
//! As in transformers, `model_type` decides what is computed. The class that the model was saved
//! from tells whether it was trained for that: a classifier has the same body as a language model,
//! but its outputs as a language model would be meaningless.

use crate::model::config::ConfigFile;
use crate::{Error, Notice};

/// Parts of the names of classes that generate text without an encoder.
const GENERATES: &[&str] = &["ForCausalLM", "LMHeadModel", "DoubleHeadsModel"];

/// Parts of the names of classes that generate text from an encoder's output.
const TRANSLATES: &[&str] = &[
    "ForConditionalGeneration",
    "ForTextToText",
    "MTModel",
    "WithLMHeadModel",
];

/// Parts of the names of classes with another task that end in `Model`, as headless classes do.
const OTHER_MODELS: &[&str] = &["EncoderModel", "RewardModel"];

/// Checks the class that the model of `config` was saved from.
///
/// Fails if the class was not trained to generate text. Returns a notice if the class has no head,
/// or is from another family than `model_type` says.
pub(crate) fn check(config: &ConfigFile, has_encoder: bool) -> Result<Option<Notice>, Error> {
    let classes = config.optional_texts("architectures")?.unwrap_or_default();
    let Some(&class) = classes.first() else {
        return Ok(None);
    };
    let contains = |parts: &[&str]| parts.iter().any(|part| class.contains(part));
    let is_of_task = contains(TRANSLATES) || (contains(GENERATES) && !has_encoder);
    let is_headless = class.ends_with("Model") && !class.contains("For") && !contains(OTHER_MODELS);
    if !is_of_task && !is_headless {
        return Err(refused(config, class, has_encoder));
    }
    let path = config.path().to_owned();
    let class = class.to_owned();
    let model_type = config.text("model_type")?.to_owned();
    Ok(if !is_of_family(&class, &model_type) {
        // A model with its own code gets a notice about that code instead.
        let has_own_code = config.fields().contains_key("auto_map");
        (!has_own_code).then_some(Notice::OtherFamily {
            path,
            class,
            model_type,
        })
    } else if is_headless && !is_of_task {
        Some(Notice::Headless { path, class })
    } else {
        None
    })
}

fn refused(config: &ConfigFile, class: &str, has_encoder: bool) -> Error {
    let (needed, instead) = if has_encoder {
        ("an encoder-decoder model", "`…ForConditionalGeneration`")
    } else {
        ("a language model", "`…ForCausalLM`")
    };
    Error::ModelRefused {
        path: config.path().to_owned(),
        reason: format!(
            "says that the model is a `{class}`, which was not trained to generate text as {needed}"
        ),
        next: format!("take a checkpoint that was saved as {instead}"),
    }
}

/// Beginnings of the names of classes that are not spelled like their `model_type`.
const OTHER_SPELLINGS: &[(&str, &str)] = &[
    ("hunyuan_v1_dense", "hunyuandensev1"),
    ("hunyuan_v1_moe", "hunyuanmoev1"),
    ("internlm3", "llama"),
    ("iquestcoder", "llama"),
];

/// Returns whether the class belongs to the family `model_type`, judging by the beginning of its
/// name: `GPTNeoXForCausalLM` belongs to `gpt_neox`, `Gemma3ForCausalLM` to `gemma3_text`.
fn is_of_family(class: &str, model_type: &str) -> bool {
    let plain = |name: &str| name.to_lowercase().replace(['_', '-'], "");
    let class = plain(class);
    let family = plain(model_type);
    let family = family.strip_suffix("text").unwrap_or(&family);
    let mut spellings = OTHER_SPELLINGS.iter();
    class.starts_with(family)
        || spellings.any(|(name, start)| *name == model_type && class.starts_with(start))
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    fn outcome(model_type: &str, class: &str, has_encoder: bool) -> Result<Option<Notice>, Error> {
        let fields = Map::from_iter([
            ("model_type".to_owned(), json!(model_type)),
            ("architectures".to_owned(), json!([class])),
        ]);
        let path = "config.json".as_ref();
        check(&ConfigFile::from_fields(path, fields), has_encoder)
    }

    #[test]
    fn classes_that_generate_text_pass_without_a_word() {
        for (model_type, class, has_encoder) in [
            ("gpt2", "GPT2LMHeadModel", false),
            ("gpt2", "GPT2DoubleHeadsModel", false),
            ("gpt_neox", "GPTNeoXForCausalLM", false),
            ("gemma3_text", "Gemma3ForCausalLM", false),
            ("llama", "LLaMAForCausalLM", false),
            ("marian", "MarianMTModel", true),
            ("t5", "T5WithLMHeadModel", true),
            ("m2m_100", "M2M100ForConditionalGeneration", true),
        ] {
            let outcome = outcome(model_type, class, has_encoder).unwrap();
            assert_eq!(outcome, None, "{class}");
        }
    }

    #[test]
    fn a_class_with_another_task_is_refused_by_its_name() {
        for (model_type, class, has_encoder) in [
            ("llama", "LlamaForSequenceClassification", false),
            ("gpt2", "GPT2ForTokenClassification", false),
            ("opt", "OPTForQuestionAnswering", false),
            ("llama", "LlamaRewardModel", false),
            ("t5", "T5EncoderModel", true),
            ("bart", "BartForCausalLM", true),
            ("bart", "BartForSequenceClassification", true),
        ] {
            let error = outcome(model_type, class, has_encoder).unwrap_err();
            assert!(error.to_string().contains(class), "{error}");
            assert!(error.next_step().is_some());
        }
    }

    #[test]
    fn a_class_without_a_head_or_of_another_family_is_noticed() {
        let notice = outcome("gpt2", "GPT2Model", false).unwrap().unwrap();
        assert!(matches!(notice, Notice::Headless { .. }));
        let notice = outcome("llama", "OwnForCausalLM", false).unwrap().unwrap();
        assert!(notice.to_string().contains("OwnForCausalLM"));
        assert!(matches!(notice, Notice::OtherFamily { .. }));
    }
}
