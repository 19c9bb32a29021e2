//! Which tokenizer class transformers would use for a model without `tokenizer.json`.
//!
//! The same files mean different ids to different classes: T5 numbers the pieces of `spiece.model`
//! from 0, Pegasus from 103, and the merges of `merges.txt` apply to bytes in GPT-2 and to letters
//! in `BioGPT`. Files are therefore read only for classes that are known to read them this way.

use crate::Error;
use crate::model::ModelFiles;
use crate::model::config::ConfigFile;

/// The class that transformers uses if no file names one, by `model_type`. `TokenizersBackend` is the
/// one that only reads a `tokenizer.json`.
const BY_MODEL_TYPE: &[(&str, &str)] = &[
    ("arcee", "TokenizersBackend"),
    ("bart", "BartTokenizer"),
    ("bert", "BertTokenizer"),
    ("bigbird_pegasus", "TokenizersBackend"),
    ("biogpt", "BioGptTokenizer"),
    ("blenderbot", "BlenderbotTokenizer"),
    ("camembert", "CamembertTokenizer"),
    ("codegen", "GPT2Tokenizer"),
    ("cohere", "CohereTokenizer"),
    ("cohere2", "CohereTokenizer"),
    ("cwm", "TokenizersBackend"),
    ("dbrx", "GPT2Tokenizer"),
    ("deepseek_v2", "TokenizersBackend"),
    ("deepseek_v3", "TokenizersBackend"),
    ("dots1", "TokenizersBackend"),
    ("ernie4_5", "TokenizersBackend"),
    ("ernie4_5_moe", "TokenizersBackend"),
    ("exaone4", "TokenizersBackend"),
    ("exaone_moe", "TokenizersBackend"),
    ("flex_olmo", "TokenizersBackend"),
    ("gemma", "GemmaTokenizer"),
    ("gemma2", "GemmaTokenizer"),
    ("gemma3", "GemmaTokenizer"),
    ("gemma3_text", "GemmaTokenizer"),
    ("glm", "TokenizersBackend"),
    ("glm4", "TokenizersBackend"),
    ("glm4_moe", "TokenizersBackend"),
    ("glm4_moe_lite", "TokenizersBackend"),
    ("gpt2", "GPT2Tokenizer"),
    ("gpt_bigcode", "GPT2Tokenizer"),
    ("gpt_neo", "GPT2Tokenizer"),
    ("gpt_neox", "GPTNeoXTokenizer"),
    ("gptj", "GPT2Tokenizer"),
    ("granitemoe", "TokenizersBackend"),
    ("granitemoehybrid", "TokenizersBackend"),
    ("granitemoeshared", "TokenizersBackend"),
    ("helium", "TokenizersBackend"),
    ("hunyuan_v1_dense", "TokenizersBackend"),
    ("hunyuan_v1_moe", "TokenizersBackend"),
    ("hy_v3", "TokenizersBackend"),
    ("hyperclovax", "TokenizersBackend"),
    ("internlm3", "TokenizersBackend"),
    ("iquestcoder", "TokenizersBackend"),
    ("jais2", "GPT2Tokenizer"),
    ("llama", "LlamaTokenizer"),
    ("m2m_100", "M2M100Tokenizer"),
    ("marian", "MarianTokenizer"),
    ("mbart", "MBartTokenizer"),
    ("mellum", "TokenizersBackend"),
    ("minicpm3", "TokenizersBackend"),
    ("minimax_m2", "TokenizersBackend"),
    ("ministral", "TokenizersBackend"),
    ("ministral3", "TokenizersBackend"),
    ("mistral", "LlamaTokenizer"),
    ("mistral3", "TokenizersBackend"),
    ("mixtral", "LlamaTokenizer"),
    ("mpt", "GPTNeoXTokenizer"),
    ("mt5", "T5Tokenizer"),
    ("mvp", "MvpTokenizer"),
    ("nemotron", "TokenizersBackend"),
    ("olmo3", "TokenizersBackend"),
    ("olmoe", "GPTNeoXTokenizer"),
    ("openai-gpt", "OpenAIGPTTokenizer"),
    ("opt", "GPT2Tokenizer"),
    ("pegasus", "PegasusTokenizer"),
    ("persimmon", "TokenizersBackend"),
    ("phi", "CodeGenTokenizer"),
    ("phi3", "LlamaTokenizer"),
    ("plbart", "PLBartTokenizer"),
    ("qwen2", "Qwen2Tokenizer"),
    ("qwen2_moe", "Qwen2Tokenizer"),
    ("qwen3", "Qwen2Tokenizer"),
    ("qwen3_moe", "Qwen2Tokenizer"),
    ("roberta", "RobertaTokenizer"),
    ("seamless_m4t", "SeamlessM4TTokenizer"),
    ("seamless_m4t_v2", "SeamlessM4TTokenizer"),
    ("seed_oss", "TokenizersBackend"),
    ("solar_open", "TokenizersBackend"),
    ("stablelm", "GPTNeoXTokenizer"),
    ("starcoder2", "GPT2Tokenizer"),
    ("switch_transformers", "T5Tokenizer"),
    ("t5", "T5Tokenizer"),
    ("t5gemma", "GemmaTokenizer"),
    ("umt5", "T5Tokenizer"),
    ("vaultgemma", "GemmaTokenizer"),
    ("xglm", "XGLMTokenizer"),
    ("xlm-roberta", "XLMRobertaTokenizer"),
    ("youtu", "TokenizersBackend"),
];

/// The name of a tokenizer class, without `Fast`; `None` if no file tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TokenizerClass(Option<String>);

impl TokenizerClass {
    /// Finds the class of the model in `files`. The tokenizer's own file takes precedence over the
    /// model's, and that one over the default of the architecture.
    pub(super) fn of_model(files: &ModelFiles) -> Result<Self, Error> {
        let own = ConfigFile::read_optional(files.text_folder(), "tokenizer_config.json")?;
        let model = ConfigFile::read_optional(files.folder(), "config.json")?;
        for file in [&own, &model] {
            if let Some(class) = file.optional_text("tokenizer_class")? {
                let class = class.strip_suffix("Fast").unwrap_or(class);
                return Ok(Self(Some(class.to_owned())));
            }
        }
        let model_type = model.optional_text("model_type")?.unwrap_or_default();
        let known = BY_MODEL_TYPE.iter().find(|(known, _)| *known == model_type);
        Ok(Self(known.map(|(_, class)| (*class).to_owned())))
    }

    /// Returns the class name, empty if it is unknown.
    pub(super) fn name(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// Returns whether the class is, or could be, one of `classes`: an unknown class could be any.
    pub(super) fn may_be(&self, classes: &[&str]) -> bool {
        self.0.is_none() || classes.contains(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_tokenizers_own_file_speaks_before_the_models() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let class = || {
            let files = ModelFiles::open(folder.path()).unwrap();
            TokenizerClass::of_model(&files).unwrap()
        };
        assert!(class().may_be(&["T5Tokenizer"]));
        write("config.json", r#"{"model_type": "pegasus"}"#);
        assert_eq!(class().name(), "PegasusTokenizer");
        let both = r#"{"model_type": "pegasus", "tokenizer_class": "MT5Tokenizer"}"#;
        write("config.json", both);
        assert_eq!(class().name(), "MT5Tokenizer");
        write(
            "tokenizer_config.json",
            r#"{"tokenizer_class": "T5TokenizerFast"}"#,
        );
        assert_eq!(class().name(), "T5Tokenizer");
        assert!(!class().may_be(&["MT5Tokenizer"]));
    }
}
