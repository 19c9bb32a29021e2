//! What tokens of one side are: their texts, and which have a meaning of their own.

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
    /// Tokens that stand for no text, in the order of their ids.
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

    /// Encodes a text, with the special tokens the model expects around it or without.
    ///
    /// Fails if the text cannot be encoded.
    pub fn encode(&self, text: &str, with_special: bool) -> Result<Encoding, Error> {
        self.codec.encode(text, with_special)
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

    /// Returns the id of a token of the vocabulary.
    pub(super) fn id(&self, token: &str) -> Option<u32> {
        self.codec.id(token)
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

    /// Returns the tokens that stand for no text, as the tokenizer alone has it.
    pub fn textless(&self) -> &[u32] {
        &self.textless
    }

    /// Returns the tokens with a meaning of their own.
    pub fn special(&self) -> &SpecialTokens {
        &self.special
    }
}
