//! Files beside a model that turn it into another model: quantization, custom code.
//!
//! They are checked before anything else is read. Otherwise a quantized model would fail on the
//! name of some tensor, and a model with custom code would be computed as the family whose
//! `model_type` it borrows. The refusal would have a misleading reason, or the numbers would be
//! wrong.

mod quantization;

use std::path::Path;

use serde_json::Value;

use crate::model::config::ConfigFile;
use crate::{Error, Notice};

/// Checks the files beside the model in `folder`. `has_gguf` tells that its weights are in a GGUF
/// file.
///
/// Fails if the weights are quantized in a format that whence does not read. Returns notices about
/// anything else that a user should know.
pub(super) fn inspect(folder: &Path, has_gguf: bool) -> Result<Vec<Notice>, Error> {
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
