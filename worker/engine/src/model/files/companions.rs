//! Files beside a model that turn it into another model: adapters, quantization, custom code.
//!
//! They are checked before anything else is read. Otherwise an adapter would be attributed as if
//! it were its base model, a quantized model would fail on the name of some tensor, and a model
//! with custom code would be computed as the family whose `model_type` it borrows. The numbers
//! would be wrong, or the refusal right but for a misleading reason.

mod quantization;

use std::path::Path;

use serde_json::Value;

use crate::model::config::ConfigFile;
use crate::{Error, Notice};

/// Checks the files beside the model in `folder`. `has_gguf` tells that its weights are in a GGUF
/// file.
///
/// Fails if there is an adapter, or if the weights are quantized in a format that whence does not
/// read. Returns notices about anything else that a user should know.
pub(super) fn inspect(folder: &Path, has_gguf: bool) -> Result<Vec<Notice>, Error> {
    refuse_adapter(folder)?;
    let config = ConfigFile::read_optional(folder, "config.json")?;
    if !has_gguf {
        quantization::refuse(folder, &config)?;
    }
    let model_type = config.optional_text("model_type")?.unwrap_or_default();
    let tokenizer = ConfigFile::read_optional(folder, "tokenizer_config.json")?;
    let notices = [
        own_code(&config, &format!("`{model_type}`")),
        own_code(&tokenizer, "the tokenizer from its files"),
    ];
    Ok(notices.into_iter().flatten().collect())
}

/// Fails if `folder` contains a PEFT adapter, with or without its base model.
fn refuse_adapter(folder: &Path) -> Result<(), Error> {
    const ADAPTER: &str = "adapter_config.json";
    if !folder.join(ADAPTER).exists() {
        return Ok(());
    }
    let adapter = ConfigFile::read(folder, ADAPTER)?;
    let text = |field: &str| adapter.fields().get(field).and_then(Value::as_str);
    let kind = text("peft_type").unwrap_or("PEFT");
    // The older `adapters` library stores the base model under `model_name`.
    let base = text("base_model_name_or_path").or_else(|| text("model_name"));
    let base = base.map_or_else(String::new, |base| format!(" of `{base}`"));
    let is_beside_model = folder.join("config.json").exists();
    let reason = if is_beside_model {
        format!(
            "has a {kind} adapter{base} beside its model (`{ADAPTER}`); whence does not apply adapters"
        )
    } else {
        format!("is a {kind} adapter{base}, not a whole model; whence does not apply adapters")
    };
    let mut next = how_to_merge(folder, kind, text("task_type").unwrap_or_default());
    if is_beside_model {
        next.push_str(
            "; to explain the model without the adapter, move `adapter_config.json` away",
        );
    }
    Err(Error::ModelRefused {
        path: folder.to_owned(),
        reason,
        next,
    })
}

/// Explains how to merge an adapter and its base into a whole model.
fn how_to_merge(folder: &Path, kind: &str, task: &str) -> String {
    // Learned prompts do not change the weights, so they cannot be merged into them.
    if kind.contains("PROMPT") || kind.contains("PREFIX") || kind == "P_TUNING" {
        return "learned prompts cannot be merged into a model; take a model that was fine-tuned \
                without them"
            .to_owned();
    }
    let class = if task == "SEQ_2_SEQ_LM" {
        "AutoPeftModelForSeq2SeqLM"
    } else {
        "AutoPeftModelForCausalLM"
    };
    format!(
        "merge it into its base with peft: python -c \"from peft import {class} as M; \
         M.from_pretrained('{}').merge_and_unload().save_pretrained('merged')\", \
         then copy the tokenizer's files to merged",
        folder.display()
    )
}

/// Returns a notice if the file refers to Python code of the model's own.
fn own_code(file: &ConfigFile, computed: &str) -> Option<Notice> {
    /// The classes that generation could use, most specific first.
    const CLASSES: [&str; 5] = [
        "AutoModelForCausalLM",
        "AutoModelForSeq2SeqLM",
        "AutoModel",
        "AutoConfig",
        "AutoTokenizer",
    ];
    let map = file.fields().get("auto_map")?.as_object()?;
    let named = CLASSES.iter().find_map(|class| map.get(*class));
    let code = named.or_else(|| map.values().next())?;
    // For a tokenizer, this is a list of a slow and a fast class, either of which may be null.
    let code = match code {
        Value::Array(classes) => classes.iter().find_map(Value::as_str)?,
        code => code.as_str()?,
    };
    Some(Notice::OwnCode {
        path: file.path().to_owned(),
        code: code.to_owned(),
        computed: computed.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn refusal(files: &[(&str, &str)]) -> (String, String) {
        let folder = folder(files);
        let error = inspect(folder.path(), false).unwrap_err();
        (error.to_string(), error.next_step().unwrap())
    }

    const LORA: &str =
        r#"{"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "lab/base"}"#;

    #[test]
    fn an_adapter_is_named_with_its_base_and_how_to_merge_it() {
        let (message, next) = refusal(&[("adapter_config.json", LORA)]);
        assert!(message.contains("LORA adapter of `lab/base`"), "{message}");
        assert!(message.contains("not a whole model"), "{message}");
        assert!(next.contains("AutoPeftModelForCausalLM"), "{next}");
        let (message, next) = refusal(&[("adapter_config.json", LORA), ("config.json", "{}")]);
        assert!(message.contains("beside its model"), "{message}");
        assert!(next.contains("move `adapter_config.json` away"), "{next}");
    }

    #[test]
    fn an_adapter_of_learned_prompts_is_not_said_to_merge() {
        let prompts = r#"{"peft_type": "PREFIX_TUNING", "task_type": "SEQ_2_SEQ_LM"}"#;
        let (message, next) = refusal(&[("adapter_config.json", prompts)]);
        assert!(message.contains("PREFIX_TUNING adapter"), "{message}");
        assert!(next.contains("cannot be merged"), "{next}");
    }

    #[test]
    fn code_of_its_own_is_noticed_in_either_file() {
        let model = r#"{"model_type": "llama", "auto_map": {"AutoConfig": "c.C", "AutoModelForCausalLM": "m.Own"}}"#;
        let tokenizer = r#"{"auto_map": {"AutoTokenizer": ["t.Own", null]}}"#;
        let folder = folder(&[("config.json", model), ("tokenizer_config.json", tokenizer)]);
        let notices = inspect(folder.path(), false).unwrap();
        let said: Vec<_> = notices.iter().map(ToString::to_string).collect();
        assert!(
            said[0].contains("m.Own") && said[0].contains("`llama`"),
            "{said:?}"
        );
        assert!(
            said[1].contains("t.Own") && said[1].contains("tokenizer"),
            "{said:?}"
        );
    }

    #[test]
    fn a_plain_model_is_passed_without_a_word() {
        let folder = folder(&[(
            "config.json",
            r#"{"model_type": "llama", "auto_map": null}"#,
        )]);
        assert_eq!(inspect(folder.path(), false).unwrap(), []);
    }
}
