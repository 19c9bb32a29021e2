//! Between text and token ids.
//!
//! Where a model's tokenizer comes from is one question (`sources`), what it does another (a
//! [`Codec`]): most run in the tokenizers library, others are SentencePiece models whose pieces the
//! model numbers in a way of its own. None pads or truncates: batches are ragged, and a text that is too long is
//! an error the user should see.

mod sources;

mod added_tokens;
mod gguf;
mod library;
mod marian;
mod sentencepiece;
mod vocabulary;

mod normalization;
mod offsets;
mod pieces;

mod chat;
mod languages;
mod special_tokens;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use serde_json::Value;
use whence_schemas::ChatSpec;

use crate::Error;
use crate::model::ModelFiles;
pub use chat::ChatTemplate;
use languages::{Frame, Languages};
pub use offsets::{Encoding, Offsets};
pub use special_tokens::SpecialTokens;

/// The tokenizer of a model.
///
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    codec: Arc<dyn Codec>,
    special: SpecialTokens,
    /// Special tokens by their names in the tokenizer's configuration.
    named: BTreeMap<String, String>,
    /// The model's chat template.
    chat_template: Option<String>,
    /// What stands around texts, in models of many languages.
    languages: Option<Languages>,
    source_frame: Option<Frame>,
    target_frame: Option<Frame>,
}

/// Turns texts into ids and back.
trait Codec: Debug + Send + Sync {
    /// Encodes a text, with the special tokens the model expects around it or without.
    fn encode(&self, text: &str, side: Side, with_special: bool) -> Result<Encoding, Error>;

    /// Turns ids back into text.
    fn decode(&self, ids: &[u32], skip_special: bool) -> String;

    /// Returns a token as the vocabulary has it, or `None` for an id without one.
    fn token(&self, id: u32) -> Option<String>;

    /// Returns the id of a token of the vocabulary.
    fn id(&self, token: &str) -> Option<u32>;

    /// Returns whether the vocabulary says that a token is special.
    fn is_special(&self, id: u32) -> bool;

    /// Returns the number of ids, those of added tokens counted.
    fn size(&self) -> usize;
}

/// Which text of an encoder-decoder model is encoded. Decoder-only models have the source alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Target,
}

impl Tokenizer {
    /// Loads the tokenizer of the model in `files`, whose configuration is `config`.
    ///
    /// Fails if the model has no tokenizer of a kind we know, or its files are damaged.
    pub fn load(files: &ModelFiles, config: &Value) -> Result<Self, Error> {
        let codec = sources::load(files)?;
        let special = SpecialTokens::resolve(files, config, |token| codec.id(token))?;
        let languages = match special.eos.first() {
            Some(&end) => Languages::of_model(files, end)?,
            None => None,
        };
        let tokenizer = Self {
            languages,
            source_frame: None,
            target_frame: None,
            named: special_tokens::named(files, |id| codec.token(id))?,
            chat_template: chat::of_model(files)?,
            codec,
            special,
        };
        tokenizer.speaking(None, None)
    }

    /// Returns the tokenizer for texts in the languages `source` and `target`, codes as the model
    /// has them; its own choice where there is none.
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
        let id_of = |token: &str| self.codec.id(token);
        Ok(Self {
            source_frame: Some(chosen.source(id_of)?),
            target_frame: Some(chosen.target(id_of)?),
            languages: Some(chosen),
            ..self.clone()
        })
    }

    /// Returns the token of a language, which a target in it begins with.
    ///
    /// Fails if the model does not know it; `None` in models of one language.
    pub fn language_code(&self, language: &str) -> Result<Option<u32>, Error> {
        let languages = self.languages.as_ref();
        let code = languages.map(|known| known.code(language, |token| self.codec.id(token)));
        code.transpose()
    }

    /// Returns what puts texts into a chat template. Fails if there is none, or it is not one.
    pub fn chat_template(&self, spec: &ChatSpec) -> Result<ChatTemplate, Error> {
        ChatTemplate::new(spec, self.chat_template.as_deref(), &self.named)
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
        let frame = match side {
            Side::Source => &self.source_frame,
            Side::Target => &self.target_frame,
        };
        match frame {
            Some(frame) if !skip_special => {
                let plain = self.codec.encode(text, side, false)?;
                let codes = |ids: &Vec<u32>| Encoding {
                    ids: ids.clone(),
                    ranges: vec![None; ids.len()],
                };
                let framed = codes(&frame.before).followed_by(plain);
                Ok(framed.followed_by(codes(&frame.behind)))
            }
            _ => self.codec.encode(text, side, !skip_special),
        }
    }

    /// Encodes a text of a decoder-only model.
    ///
    /// A second start token, which some templates add before a text that has one, is dropped, as
    /// Inseq drops it.
    pub fn encode_prompt(&self, text: &str, skip_special: bool) -> Result<Encoding, Error> {
        let mut encoding = self.codec.encode(text, Side::Source, !skip_special)?;
        if let (Some(bos), [first, second, ..]) = (self.special.bos, encoding.ids.as_slice())
            && *first == bos
            && *second == bos
        {
            encoding.ids.remove(0);
            encoding.ranges.remove(0);
        }
        Ok(encoding)
    }

    /// Turns tokens back into text.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        self.codec.decode(ids, skip_special)
    }

    /// Returns a token as the vocabulary has it, marks included.
    pub fn token(&self, id: u32) -> String {
        // Embedding tables are often padded beyond the vocabulary.
        self.codec.token(id).unwrap_or_else(|| format!("<{id}>"))
    }

    /// Returns the special token that the tokenizer's configuration calls `role`, such as `mask_token`.
    pub(crate) fn named(&self, role: &str) -> Option<&str> {
        self.named.get(role).map(String::as_str)
    }

    /// Returns the number of ids, those of added tokens counted: every id it gives is smaller.
    pub fn size(&self) -> usize {
        self.codec.size()
    }

    /// Returns whether a token has a meaning of its own, rather than standing for text.
    pub fn is_special(&self, id: u32) -> bool {
        let SpecialTokens {
            bos,
            eos,
            pad,
            decoder_start,
            ..
        } = &self.special;
        eos.contains(&id)
            || *pad == id
            || [*bos, *decoder_start].contains(&Some(id))
            || self.codec.is_special(id)
    }

    /// Returns the tokens with a meaning of their own.
    pub fn special(&self) -> &SpecialTokens {
        &self.special
    }
}
