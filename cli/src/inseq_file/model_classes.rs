//! The classes of a model and its tokenizer.

use std::path::Path;

use serde_json::Value;

/// The classes that transformers has for a model and its tokenizer. Inseq merges only files in which
/// they are the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelClasses {
    /// Such as `LlamaForCausalLM`.
    pub model: Option<String>,
    /// Such as `MarianTokenizer`.
    pub tokenizer: Option<String>,
}

impl ModelClasses {
    /// Reads the classes from the configuration of the model in `folder`. A class that is not named
    /// there stays unknown.
    pub fn of_model(folder: &Path) -> Self {
        let read = |name: &str| -> Option<Value> {
            let text = std::fs::read(folder.join(name)).ok()?;
            serde_json::from_slice(&text).ok()
        };
        let model = read("config.json").and_then(|config| {
            let class = config.get("architectures")?.get(0)?;
            Some(class.as_str()?.to_owned())
        });
        let tokenizer = read("tokenizer_config.json").and_then(|config| {
            let class = config.get("tokenizer_class")?.as_str()?;
            // Since version 5, transformers has one class for what was a fast and a slow one.
            Some(match class.strip_suffix("Fast").unwrap_or(class) {
                "PreTrainedTokenizer" => "TokenizersBackend".to_owned(),
                class => class.to_owned(),
            })
        });
        Self { model, tokenizer }
    }
}
