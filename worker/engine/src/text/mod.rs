//! Conversion between text and token ids.
//!
//! Where a model's tokenizer comes from (`sources`) is separate from what it does (a `codec`).
//! Most tokenizers run in the `tokenizers` crate; others are SentencePiece models whose pieces the
//! model numbers in its own way. Each side of a model has a [`Vocabulary`], the same one in most
//! models, and an id means nothing without its side. Nothing is padded or truncated: batches are
//! ragged, and a text that is too long is an error that the user should see.

mod codec;
mod encoding;

mod class;
mod sources;
mod unserved;

mod added_tokens;
mod gguf;
mod library;
mod marian;
mod sentencepiece;
mod vocab_json;

mod normalization;
mod offsets;
mod pieces;

mod chat;
mod languages;
mod special_tokens;
mod vocabulary;

use std::collections::BTreeMap;

use serde_json::Value;
use whence_schemas::ChatSpec;

use crate::Error;
use crate::model::ModelFiles;
use crate::sides::{Side, Sides};
pub use chat::ChatTemplate;
use codec::Codecs;
pub use encoding::Encoding;
use languages::{Frame, Languages};
pub use special_tokens::SpecialTokens;
pub use vocabulary::Vocabulary;

/// The tokenizer of a model.
///
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    vocabularies: Sides<Vocabulary>,
    /// Whether an id means the same token on both sides.
    has_one_vocabulary: bool,
    /// Special tokens by their names in the tokenizer's configuration.
    named: BTreeMap<String, String>,
    /// The chat templates in the model's files.
    chat_templates: chat::ModelTemplates,
    /// Language codes of a multilingual model; `None` for other models.
    languages: Option<Languages>,
    /// The special tokens around texts of each side in multilingual models.
    frames: Option<Sides<Frame>>,
}

impl Tokenizer {
    /// Loads the tokenizer of the model in `files`, whose configuration is `config`.
    ///
    /// Fails if the model has no tokenizer of a supported kind, or if its files are damaged.
    pub fn load(files: &ModelFiles, config: &Value) -> Result<Self, Error> {
        let Codecs {
            sides,
            has_one_vocabulary,
        } = sources::load(files)?;
        let vocabularies = Sides::try_new(|side| {
            let codec = sides.of(side).clone();
            let config = if has_one_vocabulary {
                config
            } else {
                &special_tokens::of_own_vocabulary(config, side)
            };
            let special = SpecialTokens::resolve(files, config, |token| codec.id(token))?;
            let textless = special_tokens::textless(files, &*codec, special.pad)?;
            Ok::<_, Error>(Vocabulary::new(codec, special, textless))
        })?;
        let languages = match vocabularies.target.special().eos.first() {
            Some(&end) => Languages::from_model(files, end)?,
            None => None,
        };
        let tokenizer = Self {
            languages,
            frames: None,
            named: special_tokens::named(files, |id| sides.target.token(id))?,
            chat_templates: chat::ModelTemplates::read(files)?,
            vocabularies,
            has_one_vocabulary,
        };
        tokenizer.speaking(None, None)
    }

    /// Returns the tokenizer for texts in the languages `source` and `target`, given as the
    /// model's own language codes. A language that is `None` keeps the model's default.
    ///
    /// Fails if the model does not know one of them, or is not multilingual.
    pub fn speaking(&self, source: Option<&str>, target: Option<&str>) -> Result<Self, Error> {
        let Some(languages) = &self.languages else {
            return match source.or(target) {
                None => Ok(self.clone()),
                Some(language) => Err(Error::Specification {
                    reason: format!(
                        "the tokenizer has no tokens for languages: leave out `{language}`"
                    ),
                }),
            };
        };
        let chosen = languages.chosen(source, target);
        let Sides { source, target } = &self.vocabularies;
        let frames = Sides {
            source: chosen.source(|token| source.id(token))?,
            target: chosen.target(|token| target.id(token))?,
        };
        Ok(Self {
            frames: Some(frames),
            languages: Some(chosen),
            ..self.clone()
        })
    }

    /// Returns the token that a target in this language begins with; `None` in models of a single
    /// language.
    ///
    /// Fails if the model does not know the language.
    pub fn language_code(&self, language: &str) -> Result<Option<u32>, Error> {
        let languages = self.languages.as_ref();
        let id_of = |token: &str| self.of(Side::Target).id(token);
        let code = languages.map(|known| known.code(language, id_of));
        code.transpose()
    }

    /// Returns the chat template that `spec` asks for. Fails if there is none, or if it does not
    /// compile.
    pub fn chat_template(&self, spec: &ChatSpec) -> Result<ChatTemplate, Error> {
        ChatTemplate::new(spec, &self.chat_templates, &self.named)
    }

    /// Encodes a text for the encoder.
    pub fn encode_source(&self, text: &str, skip_special: bool) -> Result<Encoding, Error> {
        self.framed(text, Side::Source, skip_special)
    }

    /// Encodes a target text of an encoder-decoder model, without the decoder's start token.
    pub fn encode_target(&self, text: &str, skip_special: bool) -> Result<Encoding, Error> {
        self.framed(text, Side::Target, skip_special)
    }

    /// Encodes a text. In a multilingual model, the language codes and end tokens around it come
    /// from the languages that were chosen, not from the vocabulary.
    fn framed(&self, text: &str, side: Side, skip_special: bool) -> Result<Encoding, Error> {
        let vocabulary = self.of(side);
        match &self.frames {
            Some(frames) if !skip_special => {
                let frame = frames.of(side);
                let codes = |ids: &Vec<u32>| Encoding {
                    ids: ids.clone(),
                    ranges: vec![None; ids.len()],
                };
                let plain = vocabulary.encode(text, false)?;
                let framed = codes(&frame.before).followed_by(plain);
                Ok(framed.followed_by(codes(&frame.behind)))
            }
            _ => vocabulary.encode(text, !skip_special),
        }
    }

    /// Encodes a text for a decoder-only model.
    ///
    /// Some chat templates write a start token in front of a text to which the tokenizer adds one
    /// as well. The second one is dropped, as Inseq does.
    pub fn encode_prompt(&self, text: &str, skip_special: bool) -> Result<Encoding, Error> {
        let vocabulary = self.of(Side::Target);
        let mut encoding = vocabulary.encode(text, !skip_special)?;
        let bos = vocabulary.special().bos;
        if let (Some(bos), [first, second, ..]) = (bos, encoding.ids.as_slice())
            && *first == bos
            && *second == bos
        {
            encoding.ids.remove(0);
            encoding.ranges.remove(0);
        }
        Ok(encoding)
    }

    /// Returns the vocabulary of a side.
    pub fn of(&self, side: Side) -> &Vocabulary {
        self.vocabularies.of(side)
    }

    /// Returns whether an id means the same token on both sides.
    pub(crate) fn has_one_vocabulary(&self) -> bool {
        self.has_one_vocabulary
    }

    /// Returns the special token that the tokenizer's configuration calls `role`, such as
    /// `mask_token`.
    pub(crate) fn named(&self, role: &str) -> Option<&str> {
        self.named.get(role).map(String::as_str)
    }
}
