//! Between text and token ids.
//!
//! Where a model's tokenizer comes from is one question (`sources`), what it does another (a
//! `codec`): most run in the tokenizers library, others are SentencePiece models whose pieces the
//! model numbers in a way of its own. Each side of a model has a [`Vocabulary`], in most models the
//! same: an id means nothing without its side. None pads or truncates: batches are ragged, and a
//! text that is too long is an error the user should see.

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
    /// Whether an id is the same token on both sides.
    has_one_vocabulary: bool,
    /// Special tokens by their names in the tokenizer's configuration.
    named: BTreeMap<String, String>,
    /// The chat templates that come with the model.
    chat_templates: chat::ModelTemplates,
    /// The tokens around texts, in multilingual models.
    languages: Option<Languages>,
    frames: Option<Sides<Frame>>,
}

impl Tokenizer {
    /// Loads the tokenizer of the model in `files`, whose configuration is `config`.
    ///
    /// Fails if the model has no tokenizer of a kind we know, or its files are damaged.
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

    /// Returns the tokenizer for texts in the languages `source` and `target`, codes as the model
    /// has them; its own choice if none is given.
    ///
    /// Fails if the model does not know one of them, or knows nothing of languages.
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

    /// Returns the token of a language, which a target in it begins with.
    ///
    /// Fails if the model does not know it; `None` in models of a single language.
    pub fn language_code(&self, language: &str) -> Result<Option<u32>, Error> {
        let languages = self.languages.as_ref();
        let id_of = |token: &str| self.of(Side::Target).id(token);
        let code = languages.map(|known| known.code(language, id_of));
        code.transpose()
    }

    /// Returns what puts texts into a chat template. Fails if there is none, or it is not one.
    pub fn chat_template(&self, spec: &ChatSpec) -> Result<ChatTemplate, Error> {
        ChatTemplate::new(spec, &self.chat_templates, &self.named)
    }

    /// Encodes what an encoder reads.
    pub fn encode_source(&self, text: &str, skip_special: bool) -> Result<Encoding, Error> {
        self.framed(text, Side::Source, skip_special)
    }

    /// Encodes what the decoder of an encoder-decoder model produces, without its start token.
    pub fn encode_target(&self, text: &str, skip_special: bool) -> Result<Encoding, Error> {
        self.framed(text, Side::Target, skip_special)
    }

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

    /// Encodes a text of a decoder-only model.
    ///
    /// A second start token, which some templates add before a text that has one, is dropped, as
    /// Inseq drops it.
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

    /// Returns the tokens of a side.
    pub fn of(&self, side: Side) -> &Vocabulary {
        self.vocabularies.of(side)
    }

    /// Returns whether an id is the same token on both sides.
    pub(crate) fn has_one_vocabulary(&self) -> bool {
        self.has_one_vocabulary
    }

    /// Returns the special token that the tokenizer's configuration calls `role`, such as `mask_token`.
    pub(crate) fn named(&self, role: &str) -> Option<&str> {
        self.named.get(role).map(String::as_str)
    }
}
