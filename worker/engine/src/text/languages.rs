//! Multilingual models: tokens that say which language a text is in.
//!
//! Such a model expects a language code around every text, and its target to begin with the code
//! of the target language. Where the codes go depends on the tokenizer's class.

use serde_json::Value;

use crate::Error;
use crate::model::ModelFiles;
use crate::model::config::ConfigFile;

/// The special tokens before and after a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) before: Vec<u32>,
    pub(super) behind: Vec<u32>,
}

/// The languages of a multilingual tokenizer, and how it writes their codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Languages {
    family: Family,
    /// Source language if the job gives none.
    source: String,
    /// Target language if the job gives none; `None` means the source language.
    target: Option<String>,
    end: u32,
}

/// How a family of tokenizers writes language codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Family {
    /// Class of the tokenizer, without `Fast`.
    class: &'static str,
    /// What surrounds the code: M2M100 writes `__fr__` where others write `fr_XX`.
    mark: &'static str,
    place: CodePlace,
    default_source: &'static str,
}

/// Where a language code goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CodePlace {
    /// `code text </s>`
    Before,
    /// `text </s> code`
    Behind,
}

/// Every family of multilingual tokenizers.
const FAMILIES: &[Family] = &[
    Family {
        class: "M2M100Tokenizer",
        mark: "__",
        place: CodePlace::Before,
        default_source: "en",
    },
    Family {
        class: "NllbTokenizer",
        mark: "",
        place: CodePlace::Before,
        default_source: "eng_Latn",
    },
    Family {
        class: "MBart50Tokenizer",
        mark: "",
        place: CodePlace::Before,
        default_source: "en_XX",
    },
    Family {
        class: "MBartTokenizer",
        mark: "",
        place: CodePlace::Behind,
        default_source: "en_XX",
    },
];

impl Languages {
    /// Returns the languages of a model, or `None` if its texts carry no language codes. `end` is
    /// the token that ends a text.
    pub(super) fn from_model(files: &ModelFiles, end: u32) -> Result<Option<Self>, Error> {
        let config = ConfigFile::read_optional(files.text_folder(), "tokenizer_config.json")?;
        let class = config.optional_text("tokenizer_class")?.unwrap_or_default();
        let class = class.strip_suffix("Fast").unwrap_or(class);
        let Some(family) = FAMILIES.iter().find(|family| family.class == class) else {
            return Ok(None);
        };
        let mut family = *family;
        if config.fields().get("legacy_behaviour") == Some(&Value::Bool(true)) {
            family.place = CodePlace::Behind;
        }
        let source = config.optional_text("src_lang")?;
        Ok(Some(Self {
            source: source.unwrap_or(family.default_source).to_owned(),
            target: config.optional_text("tgt_lang")?.map(str::to_owned),
            family,
            end,
        }))
    }

    /// Returns these languages with `source` and `target` replaced by those that are given.
    pub(super) fn chosen(&self, source: Option<&str>, target: Option<&str>) -> Self {
        let target = target.or(self.target.as_deref());
        Self {
            source: source.unwrap_or(&self.source).to_owned(),
            target: target.map(str::to_owned),
            ..self.clone()
        }
    }

    /// Returns the tokens around source texts. `id_of` looks a token up in the vocabulary.
    pub(super) fn source(&self, id_of: impl Fn(&str) -> Option<u32>) -> Result<Frame, Error> {
        self.frame(&self.source, id_of)
    }

    /// Returns the tokens around target texts. `id_of` looks a token up in the vocabulary.
    pub(super) fn target(&self, id_of: impl Fn(&str) -> Option<u32>) -> Result<Frame, Error> {
        self.frame(self.target.as_ref().unwrap_or(&self.source), id_of)
    }

    /// Returns the token of a language. Fails if the model does not know the language.
    pub(super) fn code(
        &self,
        language: &str,
        id_of: impl Fn(&str) -> Option<u32>,
    ) -> Result<u32, Error> {
        let mark = self.family.mark;
        let token = format!("{mark}{language}{mark}");
        id_of(&token).ok_or_else(|| Error::Specification {
            reason: format!(
                "the model has no language `{language}`: its vocabulary has no token `{token}`"
            ),
        })
    }

    fn frame(&self, language: &str, id_of: impl Fn(&str) -> Option<u32>) -> Result<Frame, Error> {
        let code = self.code(language, id_of)?;
        Ok(match self.family.place {
            CodePlace::Before => Frame {
                before: vec![code],
                behind: vec![self.end],
            },
            CodePlace::Behind => Frame {
                before: Vec::new(),
                behind: vec![self.end, code],
            },
        })
    }
}
