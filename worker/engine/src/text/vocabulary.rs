//! The tokens of one side: their texts, and which of them have a special meaning.

use std::sync::Arc;

use super::codec::Codec;
use super::encoding::Encoding;
use super::special_tokens::SpecialTokens;
use crate::Error;

/// The tokens of one side of a model.
///
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    codec: Arc<dyn Codec>,
    special: SpecialTokens,
    /// Tokens that stand for no text, in ascending order of id.
    textless: Vec<u32>,
}

impl Vocabulary {
    pub(super) fn new(codec: Arc<dyn Codec>, special: SpecialTokens, textless: Vec<u32>) -> Self {
        Self {
            codec,
            special,
            textless,
        }
    }

    /// Encodes a text. `with_special` adds the special tokens that the model expects around a
    /// text.
    ///
    /// Fails if the text cannot be encoded.
    pub fn encode(&self, text: &str, with_special: bool) -> Result<Encoding, Error> {
        self.codec.encode(text, with_special)
    }

    /// Decodes tokens into text, leaving out special tokens if `skip_special` is set.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        self.codec.decode(ids, skip_special)
    }

    /// Returns a token as the vocabulary spells it, markers such as `Ġ` or `▁` included.
    pub fn token(&self, id: u32) -> String {
        // Embedding tables are often padded beyond the vocabulary, so an id may have no token.
        self.codec.token(id).unwrap_or_else(|| format!("<{id}>"))
    }

    /// Returns the id of a token, spelled as in the vocabulary.
    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        self.codec.id(token)
    }

    /// Returns the number of ids, added tokens included. Encoding returns only smaller ids.
    pub fn size(&self) -> usize {
        self.codec.size()
    }

    /// Returns whether a token has a special meaning instead of standing for text.
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

    /// Returns whether a token is special, by the model's configuration or by the tokenizer's.
    pub(crate) fn has_no_text(&self, id: u32) -> bool {
        self.is_special(id) || self.textless.contains(&id)
    }

    /// Returns the tokens that stand for no text, as the tokenizer itself defines them.
    pub fn textless(&self) -> &[u32] {
        &self.textless
    }

    /// Returns the tokens with a special meaning.
    pub fn special(&self) -> &SpecialTokens {
        &self.special
    }
}
